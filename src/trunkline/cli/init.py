"""`trunkline init`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os.path import exists, isdir
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.errors import UserError

if TYPE_CHECKING:
    from trunkline.cli.init_tasks import FoundTask
    from trunkline.tables.dialect import Dialect
    from trunkline.tables.doctor import Choice, ColumnSheet, Repeats

KINDS = (
    "binary",
    "multiclass",
    "ordinal",
    "regression",
    "laplace",
    "huber",
    "quantile",
    "mixture_density",
    "lognormal",
    "zero_inflated_lognormal",
    "poisson",
    "negative_binomial",
)
"""Names of the kinds for the help, which has no need of torch; a test holds them to the table of kinds."""
SCHEMA = "trunkline.schema.json"
"""Where editors look for the config's schema, beside it."""
SHOWN = 60
"""Columns that are shown one by one; of more, only those to look at."""
WIDE = 110
"""Letters of a terminal's line from which remarks have a column of their own."""


def init(
    data: Annotated[
        list[str], typer.Argument(help="Training rows: files, globs, book.xlsx#Sheet, a database's URL#table.")
    ],
    task: Annotated[
        list[str], typer.Option(help=f"Label column, or COLUMN:KIND; repeatable. Kinds: {', '.join(KINDS)}.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="YAML file to write.")] = Path("trunkline.yaml"),
    valid: Annotated[str | None, typer.Option(help="Validation rows.")] = None,
    test: Annotated[str | None, typer.Option(help="Test rows.")] = None,
    separator: Annotated[str | None, typer.Option(help="Between the fields of a CSV; found unless given.")] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV, such as latin-1; UTF-8 unless given.")] = None,
    ask: Annotated[bool, typer.Option("--ask", help="Ask about columns that may be read in two ways.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Replace the YAML file.")] = False,
) -> None:
    """Look at a table as a colleague would, and write a config to train on it, every reading spelled out."""
    import json

    from trunkline.cli.init_tasks import find_tasks, label_numbers, label_of
    from trunkline.runs.files import write_text
    from trunkline.tables.dialect import Dialect
    from trunkline.tables.doctor import RowRepeats, mark_leaks, mark_relatives
    from trunkline.tables.schema import Inferrer
    from trunkline.tables.source import Files

    if exists(out) and not overwrite:
        raise UserError(f"{out} exists; replace it with --overwrite, or choose another name with -o")
    if not isdir(out.parent):
        raise UserError(f"{out}: folder {out.parent} does not exist")
    files = Files(data, dialect=Dialect(separator=_character(separator), encoding=encoding), as_written=True)
    dialect = files.text_dialect or Dialect()
    labels = [label_of(one, list(files.types)) for one in task]
    inferrer = Inferrer(leave_out=labels, comma_likely=dialect.separator == ";")
    repeats = RowRepeats()
    for chunk in files.chunks():
        inferrer.see(chunk)
        repeats.see(chunk)
    sample, frame = inferrer.sample, inferrer.sample.frame
    with files.naming():
        tasks = find_tasks(task, frame, comma_likely=dialect.separator == ";")
        sheets = inferrer.sheets(lambda columns: files.chunks(columns=columns))
        sheets = mark_relatives(mark_leaks(sheets, frame, label_numbers(tasks, frame)))
        if ask:
            sheets = [_asked(sheet) for sheet in sheets]
        if not any(sheet.kind is not None for sheet in sheets):
            raise UserError("no column beside the labels can be a feature")
    parts = {name: value for name, value in (("valid", valid), ("test", test)) if value is not None}
    config = _config(data, parts, dialect, sheets, tasks, sample.rows)
    repetition = repeats.done(frame)
    repeated = _repeated(
        repetition, config["data"].get("split"), sample.rows, _each_once(data, dialect, repetition.counting)
    )
    write_text(out, _text(config, sheets, repeated))
    if as_json:
        told = {
            "config": str(out),
            "rows": sample.rows,
            "looked_at": len(frame),
            "separator": dialect.separator,
            "tasks": {name: one.to_json() for name, one in tasks.items()},
            "repeated_rows": repetition.rows,
            "columns": [sheet.to_json() for sheet in sheets],
        }
        print(json.dumps(told, ensure_ascii=False, indent=1))
        return
    _show(sheets)
    features = sum(sheet.kind is not None for sheet in sheets)
    seen = "" if sample.whole else f" ({len(frame):,} of them looked at, evenly spread)"
    how = f"; fields are separated by {dialect.separator!r}" if dialect.separator not in (None, ",") else ""
    print(f"{sample.rows:,} rows{seen}, {features} features, {len(tasks)} tasks: {out}{how}")
    renamed = [f"{name} ({one.column!r})" for name, one in tasks.items() if name != one.column]
    if renamed:
        print(f"named as tasks can be: {', '.join(renamed)}")
    guessed = {one.column: one for one in tasks.values() if one.guessed}
    if guessed:
        kinds = "; ".join(f"{column} is {one.kind} ({one.why})" for column, one in guessed.items())
        print(f"kinds of labels, by their values: {kinds}. For another write --task COLUMN:KIND")
    for one in tasks.values():
        for remark in one.remarks:
            print(f"label {one.column}: {remark}")
    if repeated:
        print(f"rows: {repeated}")
    doubtful = [sheet.name for sheet in sheets if sheet.doubtful]
    if doubtful and not ask:
        print(f"to decide: {', '.join(doubtful)}; see {out}, or answer questions with --ask")
    print(f"next: trunkline train {out}; for an editor that knows the keys: trunkline schema -o {out.parent / SCHEMA}")


def batch_size(rows: int) -> int:
    """A power of two from 32 to 4096 that gives an epoch about a hundred steps, where the rows suffice."""
    return int(min(4096, max(32, 2 ** round(math.log2(max(rows, 1) / 100)))))


def _character(text: str | None) -> str | None:
    """A shell hands over two characters where a tab is meant."""
    return "\t" if text in ("\\t", "tab") else text


def _config(
    data: Sequence[str],
    parts: Mapping[str, str],
    dialect: "Dialect",
    sheets: "Sequence[ColumnSheet]",
    tasks: "Mapping[str, FoundTask]",
    rows: int,
) -> dict[str, Any]:
    source: dict[str, Any] = {"train": data[0] if len(data) == 1 else list(data), **parts}
    if dialect.separator not in (None, ","):
        source["separator"] = dialect.separator
    if dialect.encoding is not None and not dialect.utf8:
        source["encoding"] = dialect.encoding
    if "valid" not in parts:
        from trunkline.tables.doctor import is_relative

        times = [
            one
            for one in sheets
            if one.kind == "datetime" and not one.missing and "missing" not in one.options and not is_relative(one)
        ]
        split: dict[str, Any] = {"by": "time", "column": times[0].name} if times else {"by": "random"}
        how = {key: value for key, value in times[0].options.items() if key != "zone"} if times else {}
        source["split"] = {**split, **how, "valid": 0.1, "test": 0.0 if "test" in parts else 0.1}
    return {
        "data": source,
        "features": {},
        "tasks": {name: one.section for name, one in tasks.items()},
        "network": {"sharing": {"kind": "shared_bottom", "hidden": [256, 128]}, "towers": {"hidden": [64]}},
        "balance": {"objective": "uncertainty", "gradients": "none"},
        "optimizer": {"name": "adamw", "lr": 0.001},
        "training": {"epochs": 10, "batch_size": batch_size(rows), "patience": 2, "select": "mean"},
    }


def _repeated(repeats: "Repeats", split: Mapping[str, Any] | None, rows: int, remedy: str) -> str:
    """What exact repeats of rows mean for the training; empty where there are none, or no more than by chance."""
    if not repeats.rows or repeats.by_chance:
        return ""
    of = "" if repeats.of == rows else f" of the first {repeats.of:,}"
    told = f"{repeats.rows:,}{of} equal an earlier one in every column"
    if split is None or split["by"] != "random":
        return told
    both = repeats.in_both(split["valid"], split["test"])
    return f"{told}; cut at random, about {both:,} validation rows stand in train too{remedy}" if both else told


def _each_once(data: Sequence[str], dialect: "Dialect", counting: Sequence[str]) -> str:
    """The command that writes each row of a file once, where there is a short one."""
    import shlex

    from trunkline.tables.origin import kind_of

    path = Path(data[0])
    ending = kind_of(path)
    if len(data) > 1 or not path.is_file() or ending not in (".csv", ".tsv", ".parquet"):
        return ""
    unique = f"unique({f'pl.exclude({[*counting]}), ' if counting else ''}maintain_order=True)"
    if ending == ".parquet":
        code = f"pl.read_parquet({str(path)!r}).{unique}.write_parquet('once.parquet')"
    else:
        encoding = "" if dialect.utf8 else f", encoding={dialect.encoding!r}"
        how = f"separator={dialect.separator or ','!r}"
        code = f"pl.read_csv({str(path)!r}, infer_schema=False, {how}{encoding}).{unique}.write_csv('once.csv', {how})"
    return f"; to write each row once: python -c {shlex.quote(f'import polars as pl; {code}')}"


def _text(config: Mapping[str, Any], sheets: "Sequence[ColumnSheet]", repeated: str) -> str:
    """The config as YAML; a column's line says what is to be known about it, if it is left out too."""
    import yaml

    def dumped(value: Any, width: int) -> str:
        return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=width))

    text = f"# yaml-language-server: $schema={SCHEMA}\n"
    text += "# Look through the features: a column that is known only after the fact gives the answer away.\n"
    text += f"# Rows: {repeated}.\n" if repeated else ""
    for key, value in config.items():
        if key != "features":
            text += dumped({key: value}, 110)
            continue
        text += "features:\n"
        for sheet in sheets:
            kept = {"kind": sheet.kind, **sheet.options}
            name = _key(sheet.name)
            line = f"{name} {_flow(kept)}" if sheet.kind is not None else f"{name} left out"
            told = [*(sheet.remarks if sheet.kind is not None else [sheet.why, *sheet.remarks])]
            told += [f"or {_choice(choice)}" for choice in sheet.choices[1:]]
            comment = " ".join("; ".join(told).split())
            if sheet.kind is None:
                text += f"  # {' '.join(line.split())}: {comment}\n"
            else:
                text += f"  {line}{f'  # {comment}' if comment else ''}\n"
    return text


def _choice(choice: "Choice") -> str:
    if choice.kind is None:
        return choice.what
    return f"{choice.what}: {_flow({'kind': choice.kind, **choice.options})}"


def _key(name: str) -> str:
    """A column's name as a key of YAML, with its colon."""
    import json

    import yaml

    text = str(yaml.safe_dump({name: None}, default_flow_style=False, allow_unicode=True, width=10_000))
    plain = text.removesuffix(" null\n")
    return json.dumps(name) + ":" if "\n" in plain or plain.startswith("?") else plain


def _flow(section: dict[str, Any]) -> str:
    """A mapping on one line of YAML."""
    import yaml

    text = yaml.safe_dump(section, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return str(text).strip()


def _asked(sheet: "ColumnSheet") -> "ColumnSheet":
    """The sheet as a person decides it."""
    if not sheet.doubtful:
        return sheet
    print(f"{sheet.name} ({sheet.dtype}, for example {sheet.example!r}): {'; '.join([sheet.why, *sheet.remarks])}")
    for number, choice in enumerate(sheet.choices, start=1):
        print(f"  {number}  {choice.what}")
    number = 0
    while not 1 <= number <= len(sheet.choices):
        number = typer.prompt("which", default=1, type=int)
    chosen = sheet.choices[number - 1]
    return replace(sheet, kind=chosen.kind, options=dict(chosen.options), why=chosen.what, remarks=[], choices=[])


def _show(sheets: "Sequence[ColumnSheet]") -> None:
    """One line a column; of very many, those that want a look."""
    from rich.console import Console
    from rich.table import Table

    wanted = [sheet for sheet in sheets if sheet.kind is None or sheet.remarks or sheet.doubtful]
    shown = sheets if len(sheets) <= SHOWN else wanted
    console = Console()
    wide = console.width >= WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("column", overflow="fold", max_width=24)
    table.add_column("kind", no_wrap=True)
    table.add_column("missing", justify="right", no_wrap=True)
    table.add_column("distinct", justify="right", no_wrap=True)
    table.add_column("example", no_wrap=True, overflow="ellipsis", max_width=16 if wide else 10)
    for name in ("why", "remark") if wide else ("why",):
        table.add_column(name, overflow="fold")
    for sheet in shown:
        remarks = [*sheet.remarks, *(f"or {choice.what}" for choice in sheet.choices[1:])]
        said = [sheet.why, "; ".join(remarks)] if wide else ["; ".join([sheet.why, *remarks])]
        table.add_row(
            _plain(sheet.name),
            sheet.kind or "left out",
            f"{sheet.missing:.1%}" if sheet.missing else "",
            f"{sheet.distinct:,}",
            _plain(sheet.example),
            *map(_plain, said),
            style="dim" if sheet.kind is None else None,
        )
    console.print(table)
    if len(shown) < len(sheets):
        console.print(f"and {len(sheets) - len(shown)} columns about which there is nothing to say", highlight=False)


def _plain(text: str) -> str:
    """Text in which brackets are brackets and nothing is a control character."""
    from rich.markup import escape

    from trunkline.untrusted import printable

    return escape(printable(text.replace("\n", "\ufffd")))
