"""`trunkline init`."""

import math
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
import yaml

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.tasks import TASK_KINDS

CLASSES = 20
"""Whole numbers of up to this many values make a multiclass label."""


def init(
    data: Annotated[list[str], typer.Argument(help="Training rows: files or globs.")],
    task: Annotated[list[str], typer.Option(help="Label column, or COLUMN:KIND; repeatable.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="YAML file to write.")] = Path("trunkline.yaml"),
    valid: Annotated[str | None, typer.Option(help="Validation rows.")] = None,
    test: Annotated[str | None, typer.Option(help="Test rows.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace the YAML file.")] = False,
) -> None:
    """Look at a table and write a config to train on it, every inferred kind spelled out."""
    from trunkline.tables import infer, read

    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; replace it with --overwrite, or choose another name with -o")
    if not out.parent.is_dir():
        raise UserError(f"{out}: folder {out.parent} does not exist")
    frame = read(data)
    problems = Problems()
    tasks: dict[str, Any] = {}
    for one in task:
        with problems.collect():
            column, kind = split_task(one, frame)
            tasks[column] = {"kind": kind}
    problems.raise_if_any()
    features = infer(frame, leave_out=tasks)
    if not features:
        raise UserError(f"{', '.join(data)}: no column beside the labels can be a feature")
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
    out.write_text(
        "# Look through the features: a column that is known only after the fact gives the answer away.\n" + text,
        encoding="utf-8",
    )
    print(f"{len(frame):,} rows, {len(features)} features, {len(tasks)} tasks: {out}\nnext: trunkline train {out}")


def batch_size(rows: int) -> int:
    """A power of two from 32 to 4096 that gives an epoch about a hundred steps, where the rows suffice."""
    return int(min(4096, max(32, 2 ** round(math.log2(max(rows, 1) / 100)))))


def split_task(text: str, frame: pl.DataFrame) -> tuple[str, str]:
    """`COLUMN` or `COLUMN:KIND` -> column and kind, the kind guessed from the values where it is not given.

    Raises:
        UserError: an unknown column or kind.
    """
    column, _, kind = text.partition(":")
    if column not in frame.columns:
        raise UserError(f"--task {text}: column {column!r} is not in the table{did_you_mean(column, frame.columns)}")
    if kind:
        if kind not in TASK_KINDS:
            known = ", ".join(TASK_KINDS)
            raise UserError(f"--task {text}: kind {kind!r} is unknown{did_you_mean(kind, TASK_KINDS)} (known: {known})")
        return column, kind
    series = frame[column].drop_nulls()
    if series.dtype == pl.Boolean or (series.dtype.is_numeric() and series.cast(pl.Float64).is_in([0.0, 1.0]).all()):
        return column, "binary"
    if series.dtype.is_float() or (series.dtype.is_integer() and series.n_unique() > CLASSES):
        return column, "regression"
    return column, "multiclass"
