"""Parts of a table (training, validation, test), read as often as need be: frames, files, or cuts of either."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, final

import numpy as np
import polars as pl

from trunkline.config import DataConfig
from trunkline.errors import Problems, UserError
from trunkline.tables import ROW, Feature, Split, read
from trunkline.tables.fingerprint import Fingerprint, fingerprint, unchanged
from trunkline.tables.origin import Origin, databases
from trunkline.tables.source import Files, chunk_rows
from trunkline.tables.splits import PARTS, assign, check_column


class Table(Protocol):
    """Rows that can be gone through several times."""

    @property
    def paths(self) -> Sequence[Origin]:
        """The files or the table of a database that they lie in, if they are not in memory."""

    @property
    def types(self) -> Mapping[str, pl.DataType]:
        """The columns."""

    @property
    def separator(self) -> str | None:
        """Between the fields of their text, if they lie in files of text."""

    def count(self) -> int:
        """How many there are."""

    def naming(self) -> AbstractContextManager[None]:
        """Say in which file lies what is found wrong with rows inside, if they lie in files."""

    def chunks(self, *, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows in order, some at a time, with their numbers."""


@final
class Frame:
    """A table that is in memory.

    Args:
        frame: its rows.

    Raises:
        UserError: there are none.
    """

    paths: Sequence[Origin] = ()
    separator: str | None = None

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = read(frame)

    @property
    def types(self) -> Mapping[str, pl.DataType]:
        """The columns."""
        return dict(self.frame.drop(ROW).schema)

    def count(self) -> int:
        """How many rows there are."""
        return len(self.frame)

    def naming(self) -> AbstractContextManager[None]:
        """Rows in memory lie in no file."""
        return nullcontext()

    def chunks(self, *, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """The rows in order, some at a time, with their numbers."""
        chosen = self.frame if columns is None else self.frame.select([ROW, *columns])
        # cut as files are: what is fitted to the chunks is then the same to the bit
        return chosen.iter_slices(chunk_rows(chosen.drop(ROW).dtypes))


@final
class SplitTable:
    """A table under a split, cut when somebody asks.

    Args:
        table: all rows.
        split: how to cut them.
        strata: label columns whose values a random split spreads evenly.
    """

    def __init__(self, table: Table, split: Split, strata: Sequence[str] = ()) -> None:
        self.table, self.split = table, split
        self.strata = list(strata) if split.by == "random" else []

    @cached_property
    def _made(self) -> tuple[np.ndarray, dict[str, Any]]:
        with self.table.naming():
            check_column(self.split, list(self.table.types))
            column = self.split.column
            if self.split.by == "random" or column is None:
                wanted = [name for name in self.strata if name in self.table.types]
                if not wanted:
                    return assign(self.split, None, rows=self.table.count())
                codes = [[_codes(chunk[name]) for name in wanted] for chunk in self.table.chunks(columns=wanted)]
                classes = [np.concatenate(column) for column in zip(*codes, strict=True)]
                return assign(self.split, None, rows=len(classes[0]), strata=_together(classes), classes=classes)
            key = pl.concat([chunk[column] for chunk in self.table.chunks(columns=[column])])
            return assign(self.split, key, rows=len(key))

    @property
    def parts(self) -> np.ndarray:
        """Of every row the position of its part in `PARTS`.

        Raises:
            UserError: the table cannot be read, or not be cut so.
        """
        return self._made[0]

    @property
    def result(self) -> dict[str, Any]:
        """Rows of each part, and where time was cut; raises what `parts` raises."""
        return self._made[1]


@final
@dataclass(frozen=True)
class Partition:
    """The rows of one part.

    Attributes:
        name: `train`, `valid` or `test`.
        table: where they lie.
        before: the files' fingerprints when they were opened; none of a frame.
        reading: what decides how the files are read, in JSON values.
        cut: what tells them from the table's other rows, if there are others.
    """

    name: str
    table: Table
    before: Sequence[Fingerprint] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)
    cut: SplitTable | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What decides which rows these are, if they lie in files; in JSON values."""
        split = None if self.cut is None else {**vars(self.cut.split), "part": self.name, "strata": self.cut.strata}
        return {"files": self.before, "reading": self.reading, "split": split}

    def columns(self, needed: Sequence[str]) -> tuple[list[str] | None, set[str]]:
        """What to read for these columns, and those of them that are not there.

        If any is missing, all are read: a message can then suggest another.
        """
        lacking = set(needed).difference(self.table.types)
        return (None if lacking else list(dict.fromkeys(needed))), lacking

    def own(self, chunk: pl.DataFrame, before: int) -> pl.DataFrame:
        """Those of a chunk's rows that are of this part.

        Args:
            chunk: rows of the table.
            before: how many rows of the table came before it.
        """
        if self.cut is None:
            return chunk
        mine = self.cut.parts[before : before + len(chunk)] == PARTS.index(self.name)
        # where a table is sorted by time, most chunks are of one part
        return chunk if mine.all() else chunk.filter(pl.Series(mine)) if mine.any() else chunk.clear()

    def chunks(self, columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
        """The part's rows in order, some at a time."""
        before = 0
        for chunk in self.table.chunks(columns=columns):
            yield self.own(chunk, before)
            before += len(chunk)

    @contextmanager
    def naming(self) -> Iterator[None]:
        """Say of which part, and in which of its files, is what is found wrong with rows inside.

        Raises:
            UserError: what was raised inside, with these names.
        """
        try:
            with self.table.naming():
                yield
        except UserError as error:
            raise UserError(f"{self.name}: {problem}" for problem in error.problems) from error

    def unchanged(self) -> AbstractContextManager[None]:
        """Make sure that the files still are as they were when they were opened; see `fingerprint.unchanged`."""
        return unchanged(self.table.paths, self.before)


def _codes(column: pl.Series) -> np.ndarray:
    """`[N]` uint64: the same for rows that are alike in it."""
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return np.zeros(len(column), dtype=np.uint64)
    return column.hash().to_numpy()


def _together(columns: Sequence[np.ndarray]) -> np.ndarray:
    """`[N]` uint64: the same for rows that are alike in all of them."""
    codes = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        codes = codes * np.uint64(0x9E3779B97F4A7C15) + column
    return codes


def refuse_databases(data: DataConfig, frames: Mapping[str, pl.DataFrame], *, run: str) -> None:
    """Make sure that no connection is made because a run folder says so: it may come from a stranger.

    Args:
        data: of the run's config.
        frames: rows given in memory, by part, which come before what the config says.
        run: the folder, for messages.

    Raises:
        UserError: rows of the run lie in a database.
    """
    named = {part: databases(getattr(data, part)) for part in PARTS if part not in frames}
    raise_for = [
        f"{run}: its {part} rows lie in {url}; a run folder makes nobody connect to a database: give the rows "
        f"({part}=frame), or a config of your own that names them"
        for part, urls in named.items()
        for url in urls
    ]
    if raise_for:
        raise UserError(raise_for)


def open_parts(
    data: DataConfig,
    frames: Mapping[str, pl.DataFrame],
    *,
    features: Sequence[Feature] | None = (),
    texts: Sequence[str] = (),
    strata: Sequence[str] = (),
) -> dict[str, Partition]:
    """The parts that there are; frames come before files.

    Args:
        data: where they are.
        frames: those in memory, by part.
        features: some of them may want a column of a CSV as it is written; None where they are to be found.
        texts: further columns of which that is so.
        strata: label columns whose values a random split spreads evenly.

    Raises:
        UserError: no training rows, files that are not there or cannot be opened; all of them.
    """
    problems, tables = Problems(), dict[str, Partition]()
    types: dict[str, pl.DataType] = {feature.name: pl.String() for feature in features or () if feature.reads_text}
    types |= {name: pl.String() for name in texts}
    if data.split is not None and data.split.format is not None and data.split.column is not None:
        types[data.split.column] = pl.String()
    for name in PARTS:
        source = frames.get(name, getattr(data, name))
        if isinstance(source, pl.DataFrame):
            with problems.collect(f"{name}: "):
                tables[name] = Partition(name, Frame(source))
        elif source is not None:
            with problems.collect():
                files = Files(
                    source,
                    null_values=data.null_values,
                    types=types,
                    dialect=data.dialect,
                    as_written=features is None,
                )
                reading: dict[str, Any] = {
                    "null_values": data.null_values,
                    "dialect": vars(data.dialect),
                    "text": sorted(types or ()),
                }
                reading |= {"as_written": True} if features is None else {}
                tables[name] = Partition(name, files, fingerprint(files.paths), reading)
    if frames.get("train", data.train) is None:
        problems.add("data.train is missing: name the file of training rows")
    problems.raise_if_any()
    if data.split is None:
        return tables
    shares = {"valid": data.split.valid, "test": data.split.test} | {name: 0.0 for name in PARTS if name in tables}
    split = Split(
        by=data.split.by,
        column=data.split.column,
        valid=shares["valid"],
        test=shares["test"],
        seed=data.split.seed,
        unit=data.split.unit,
        format=data.split.format,
        zone=data.split.zone,
    )
    whole = tables["train"]
    cut = SplitTable(whole.table, split, strata)
    made = [name for name in PARTS if name == "train" or shares[name] > 0]
    return tables | {name: replace(whole, name=name, cut=cut) for name in made}
