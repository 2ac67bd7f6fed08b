"""From files or frames to encoded rows, with everything that is wrong with them in one message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import polars as pl

from trunkline.config import Config, DataConfig, RegressionConfig
from trunkline.errors import Problems, UserError
from trunkline.tables import Batch, Encoder, Feature, Labels, Split, cut, infer, read, scan
from trunkline.tasks import Task

PARTS = ("train", "valid", "test")


@final
@dataclass(frozen=True)
class Data:
    """Encoded rows of each part, and what encoded them.

    Attributes:
        encoder: fitted on the training rows.
        labels: likewise; holds the tasks with classes and units.
        stores: `train` and, where there are any, `valid` and `test`.
        features: the features in use.
        split: what cutting one table decided, if it was cut.
    """

    encoder: Encoder
    labels: Labels
    stores: dict[str, Batch]
    features: list[Feature]
    split: dict[str, Any] | None


def check_files(data: DataConfig, frames: Mapping[str, pl.DataFrame]) -> None:
    """Look whether the files of every part are there and can be opened, without reading their rows.

    Raises:
        UserError: what is wrong with any of them.
    """
    problems = Problems()
    for part in PARTS:
        source = getattr(data, part)
        if source is not None and part not in frames:
            with problems.collect():
                scan(source, null_values=data.null_values)
    problems.raise_if_any()


def read_parts(
    data: DataConfig, frames: Mapping[str, pl.DataFrame]
) -> tuple[dict[str, pl.DataFrame], dict[str, Any] | None]:
    """The rows of each part, and what the split decided; frames come before files.

    Raises:
        UserError: no training rows, files that cannot be read, a split that cannot be made; all of them.
    """
    problems, parts = Problems(), {}
    for part in PARTS:
        source = frames.get(part, getattr(data, part))
        if source is not None:
            with problems.collect("" if isinstance(source, (str, list)) else f"{part}: "):
                parts[part] = read(source, null_values=data.null_values)
    if frames.get("train", data.train) is None:
        problems.add("data.train is missing: name the file of training rows")
    problems.raise_if_any()
    if data.split is None:
        return parts, None
    given = {part: 0.0 for part in PARTS if part in parts}
    shares = {"valid": data.split.valid, "test": data.split.test} | given
    split = Split(
        by=data.split.by,
        column=data.split.column,
        valid=shares["valid"],
        test=shares["test"],
        seed=data.split.seed,
    )
    made, result = cut(parts["train"], split)
    return parts | made, result


def prepare(
    config: Config,
    tasks: Sequence[Task],
    features: Sequence[Feature] | None,
    frames: Mapping[str, pl.DataFrame],
    *,
    fitted: tuple[Encoder, Labels] | None = None,
) -> Data:
    """Read, cut, fit on the training rows and encode every part.

    Args:
        config: the whole config.
        tasks: the tasks as the config says.
        features: the features; None to infer them from the training rows.
        frames: rows given in memory, by part.
        fitted: encoder and labels of an earlier start of the same run, to use instead of fitting.

    Raises:
        UserError: everything wrong with files, columns and values of any part.
    """
    parts, split = read_parts(config.data, frames)
    if features is None:
        taken = {task.column for task in tasks} | {task.weight for task in tasks if task.weight}
        if config.data.split is not None and config.data.split.by == "time" and config.data.split.column:
            taken.add(config.data.split.column)
        features = infer(parts["train"], leave_out={*taken, *config.data.ignore})
        if not features:
            raise UserError("features: auto found no usable column beside the labels")
    problems = Problems()
    encoder, labels = fitted or (None, None)
    if encoder is None:
        with problems.collect("train: "):
            encoder = Encoder.fit(features, parts["train"])
    if labels is None:
        with problems.collect("train: "):
            standardize = {
                name: task.standardize for name, task in config.tasks.items() if isinstance(task, RegressionConfig)
            }
            labels = Labels.fit(tasks, parts["train"], standardize=standardize)
    stores: dict[str, Batch] = {}
    for part, frame in parts.items():
        if encoder is not None:
            with problems.collect(f"{part}: "):
                ids, numbers = encoder.encode(frame)
        if labels is not None:
            with problems.collect(f"{part}: "):
                targets = labels.encode(frame)
            with problems.collect(f"{part}: "):
                weights = labels.weights(frame)
        if not problems:
            stores[part] = Batch(ids, numbers, targets, weights)
    problems.raise_if_any()
    assert encoder is not None
    assert labels is not None
    return Data(encoder, labels, stores, list(features), split)
