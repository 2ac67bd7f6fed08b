"""Preparing all parts of a training, with everything that is wrong with them in one message."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import polars as pl

from trunkline.config import Config, DataConfig
from trunkline.errors import Problems
from trunkline.preparation.encoding import encode_parts, encoding_key
from trunkline.preparation.fitting import fit_encoders, fit_key, infer_features
from trunkline.preparation.partition import Partition, open_parts
from trunkline.preparation.store_folder import Fit, load_fit, save_fit, store_folder
from trunkline.tables import Encoder, Feature, Labels, Store
from trunkline.tables.database import DatabaseTable
from trunkline.tables.scanners import takes_types
from trunkline.tables.source import Files
from trunkline.tables.splits import PARTS
from trunkline.tasks import Task


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
        content: stands for the rows of each table of a database, by its URL.
    """

    encoder: Encoder
    labels: Labels
    stores: dict[str, Store]
    features: list[Feature]
    split: dict[str, Any] | None
    content: dict[str, str] = field(default_factory=dict)


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
                Files(source, null_values=data.null_values, dialect=data.dialect)
    problems.raise_if_any()


def prepare(
    config: Config,
    tasks: Sequence[Task],
    features: Sequence[Feature] | None,
    frames: Mapping[str, pl.DataFrame],
    *,
    fitted: tuple[Encoder, Labels] | None = None,
) -> Data:
    """Read, cut, fit on the training rows and encode every part, a chunk at a time.

    What becomes of files is kept in the folder of stores, under a name that stands for the files' content and for all
    that decides what becomes of them: whoever asks for the same again, in this run or another, gets it unread.

    Args:
        config: the whole config.
        tasks: the tasks as the config says.
        features: the features; None to infer them from the training rows.
        frames: rows given in memory, by part.
        fitted: encoder and labels of an earlier start of the same run, to use instead of fitting.

    Raises:
        UserError: everything wrong with files, columns and values of any part; files that change meanwhile.
    """
    parts = open_parts(config.data, frames, features=features, texts=config.written_labels, strata=config.strata)
    folder = store_folder(config.data)
    train, problems = parts["train"], Problems()
    encoder, labels = fitted or (None, None)
    key = None if fitted is None else encoding_key(*fitted)
    if fitted is None:
        name = fit_key(train, config, tasks, features)
        place = folder / name if folder is not None and name is not None else None
        kept = load_fit(place, tasks) if place is not None else None
        if kept is not None:
            encoder, labels, features, key = kept
            parts = _as_written(parts, config, frames, features)
        else:
            _check_tables(parts.values())
            with train.unchanged():
                if features is None:
                    features = infer_features(train, config, tasks)
                    parts = _as_written(parts, config, frames, features)
                    train = parts["train"]
                encoder, labels = fit_encoders(train, config, tasks, features, problems)
            if encoder is not None and labels is not None and folder is not None:
                key = encoding_key(encoder, labels)
                if place is not None:
                    save_fit(place, Fit(encoder, labels, list(features), key))
    stores: dict[str, Store] = {}
    for table in dict.fromkeys(part.table for part in parts.values()):
        with problems.collect():
            of_table = [part for part in parts.values() if part.table is table]
            stores |= encode_parts(of_table, folder, encoder, labels, key, problems)
    problems.raise_if_any()
    assert encoder is not None
    assert labels is not None
    in_order = {name: stores[name] for name in PARTS if name in stores}
    origins = [origin for part in parts.values() for origin in part.table.paths]
    content = {str(origin): origin.content for origin in origins if isinstance(origin, DatabaseTable)}
    return Data(encoder, labels, in_order, list(features or ()), stores["train"].facts["split"], content)


def _as_written(
    parts: dict[str, Partition],
    config: Config,
    frames: Mapping[str, pl.DataFrame],
    features: Sequence[Feature],
) -> dict[str, Partition]:
    """The parts, opened again where features that were found want the cells of a CSV as they are written."""
    unlike = any(isinstance(part.table, Files) and part.table.left_as_text for part in parts.values())
    if config.features != "auto" or not (unlike or any(feature.reads_text for feature in features)):
        return parts
    if not any(takes_types(origin) for part in parts.values() for origin in part.table.paths):
        return parts  # and a database is not asked twice
    return open_parts(config.data, frames, features=features, texts=config.written_labels, strata=config.strata)


def _check_tables(parts: Iterable[Partition]) -> None:
    """Look at the columns of all files, and cut, before any part is gone through: a bad one is told at once."""
    problems = Problems()
    for part in parts:
        with problems.collect():
            _ = part.table.types
    problems.raise_if_any()
    for part in parts:
        if part.cut is not None:
            _ = part.cut.parts
