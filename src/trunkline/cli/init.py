"""`trunkline init`."""

import math
import re
from collections.abc import Sequence
from os.path import exists, isdir
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.errors import Problems, UserError, did_you_mean

if TYPE_CHECKING:
    import polars as pl

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
CLASSES = 20
"""Whole numbers of up to this many values make a multiclass label."""


def init(
    data: Annotated[list[str], typer.Argument(help="Training rows: files or globs.")],
    task: Annotated[
        list[str], typer.Option(help=f"Label column, or COLUMN:KIND; repeatable. Kinds: {', '.join(KINDS)}.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="YAML file to write.")] = Path("trunkline.yaml"),
    valid: Annotated[str | None, typer.Option(help="Validation rows.")] = None,
    test: Annotated[str | None, typer.Option(help="Test rows.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the YAML file.")] = False,
) -> None:
    """Look at a table and write a config to train on it, every inferred kind spelled out."""
    import yaml

    from trunkline.runs.files import write_text
    from trunkline.tables import infer
    from trunkline.tables.source import Files

    if exists(out) and not overwrite:
        raise UserError(f"{out} exists; replace it with --overwrite, or choose another name with -o")
    if not isdir(out.parent):
        raise UserError(f"{out}: folder {out.parent} does not exist")
    files = Files(data)
    frame = files.read()
    with files.naming():
        tasks, guessed = find_tasks(task, frame)
        features = infer(frame, leave_out=[each.get("label", name) for name, each in tasks.items()])
        if not features:
            raise UserError("no column beside the labels can be a feature")
    source: dict[str, Any] = {"train": data[0] if len(data) == 1 else data}
    source |= {name: value for name, value in (("valid", valid), ("test", test)) if value is not None}
    if valid is None:
        times = [feature.name for feature in features if feature.kind == "datetime"]
        split = {"by": "time", "column": times[0]} if times else {"by": "random"}
        source["split"] = {**split, "valid": 0.1, **({"test": 0.1} if test is None else {"test": 0.0})}
    config = {
        "data": source,
        "features": {feature.name: {"kind": feature.kind} for feature in features},
        "tasks": tasks,
        "network": {"sharing": {"kind": "shared_bottom", "hidden": [256, 128]}, "towers": {"hidden": [64]}},
        "balance": {"objective": "uncertainty", "gradients": "none"},
        "optimizer": {"name": "adamw", "lr": 0.001},
        "training": {"epochs": 10, "batch_size": batch_size(len(frame)), "patience": 2, "select": "mean"},
    }
    text = "".join(
        yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)
        for key, value in config.items()
    )
    note = f"# yaml-language-server: $schema={SCHEMA}\n"
    note += "# Look through the features: a column that is known only after the fact gives the answer away.\n"
    write_text(out, note + text)
    print(f"{len(frame):,} rows, {len(features)} features, {len(tasks)} tasks: {out}")
    if guessed:
        told = "; ".join(f"{column} is {kind} ({reason})" for column, (kind, reason) in guessed.items())
        print(f"kinds of labels, by their values: {told}. For another write --task COLUMN:KIND")
    print(f"next: trunkline train {out}; for an editor that knows the keys: trunkline schema -o {out.parent / SCHEMA}")


def batch_size(rows: int) -> int:
    """A power of two from 32 to 4096 that gives an epoch about a hundred steps, where the rows suffice."""
    return int(min(4096, max(32, 2 ** round(math.log2(max(rows, 1) / 100)))))


def find_tasks(
    asked: Sequence[str], frame: "pl.DataFrame"
) -> tuple[dict[str, dict[str, str]], dict[str, tuple[str, str]]]:
    """The tasks for the config, by name; and of each column whose kind was not given, the kind and the reason for it.

    Args:
        asked: `COLUMN` or `COLUMN:KIND`.
        frame: training rows.

    Raises:
        UserError: an unknown column or kind, a column twice, labels that the kind cannot have; all of them.
    """
    import polars as pl

    from trunkline.tables import Labels
    from trunkline.tasks import TASK_KINDS

    problems = Problems()
    tasks: dict[str, dict[str, str]] = {}
    guessed: dict[str, tuple[str, str]] = {}
    for text in asked:
        with problems.collect(f"--task {text}: "):
            column, kind = split_task(text, frame.columns)
            name = re.sub(r"[^A-Za-z0-9_-]|^(?=[^A-Za-z_])", "_", column)
            if name in tasks:
                raise UserError(f"task {name} is there already; a second one of that label goes into the YAML by hand")
            if kind == "ordinal" and not (frame[column].dtype.is_numeric() or frame[column].dtype == pl.Boolean):
                raise UserError(
                    f"column {column!r} is {frame[column].dtype}, whose order nobody knows but you; say "
                    f"{column}:multiclass here, then in the YAML {{kind: ordinal, levels: [lowest, …, highest]}}"
                )
            if not kind:
                guessed[column] = kind, _ = guess_kind(frame[column])
            tasks[name] = {"kind": kind} | ({"label": column} if name != column else {})
            Labels.fit([TASK_KINDS[kind](name=name, label=column)], frame)
    problems.raise_if_any()
    return tasks, guessed


def split_task(text: str, columns: Sequence[str]) -> tuple[str, str]:
    """`COLUMN` or `COLUMN:KIND` -> column and kind, which is empty where it is not given.

    Raises:
        UserError: an unknown column or kind.
    """
    from trunkline.tasks import TASK_KINDS

    column, colon, kind = (text, "", "") if text in columns or ":" not in text else text.rpartition(":")
    if column not in columns:
        raise UserError(f"column {column!r} is not in the table{did_you_mean(column, columns)}")
    if colon and kind not in TASK_KINDS:
        raise UserError(f"kind {kind!r} is unknown{did_you_mean(kind, TASK_KINDS)} (known: {', '.join(TASK_KINDS)})")
    return column, kind


def guess_kind(labels: "pl.Series") -> tuple[str, str]:
    """Binary, regression or multiclass, by the values; and why.

    Every other kind says something of the label that its values do not show.
    """
    import polars as pl

    known = labels.drop_nulls()
    known = known.drop_nans() if known.dtype.is_float() else known
    if known.dtype == pl.Boolean:
        return "binary", "true or false"
    if not known.dtype.is_numeric():
        return "multiclass", "text"
    if known.cast(pl.Float64).is_in([0.0, 1.0]).all():
        return "binary", "0 or 1"
    if not known.dtype.is_integer():
        return "regression", "numbers"
    distinct = known.n_unique()
    return ("regression" if distinct > CLASSES else "multiclass"), f"{distinct} whole numbers"
