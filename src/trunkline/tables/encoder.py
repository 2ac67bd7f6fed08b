"""The encoder of all feature columns, fitted on the training rows only."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.nn.inputs import Grid, Inputs, ListFeature, Ragged
from trunkline.tables.columns import (
    Buckets,
    Column,
    Feature,
    Fitter,
    IdColumn,
    ListColumn,
    Vocabulary,
    column_from_json,
    column_to_json,
    make_fitters,
)
from trunkline.tables.columns.threads import in_threads
from trunkline.tables.rows import ROW, BadValue
from trunkline.tables.schema import check_features
from trunkline.untrusted import parse_json

BLOCK = 1 << 16
"""Rows encoded at a time by one thread: what it writes stays near the processor."""


@final
class Encoded(NamedTuple):
    """Encoded rows.

    Attributes:
        ids: `[N, C]` int32, one column for each categorical or hashed feature, in their order.
        numbers: `[N, M]` float32.
        lists: one for each bag or sequence, in their order.
    """

    ids: Tensor
    numbers: Tensor
    lists: tuple[Ragged, ...]


@final
class Slices(NamedTuple):
    """Slices of a feature within encoded rows; two of the three are empty.

    Attributes:
        ids: columns of `Encoded.ids`.
        numbers: columns of `Encoded.numbers`.
        lists: places in `Encoded.lists`.
    """

    ids: slice
    numbers: slice
    lists: slice


@final
class Encoder:
    """Turns feature columns into ids, numbers and lists of ids.

    Args:
        columns: the fitted columns, in the order of the features.

    Raises:
        UserError: a list whose target is no column of ids; two columns of one name.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        if len(set(self.names)) < len(self.columns):
            twice = next(name for name in self.names if self.names.count(name) > 1)
            raise UserError(f"column {twice!r} is encoded twice; once will do")
        self._ids = [c for c in self.columns if isinstance(c, IdColumn)]
        self._lists = [c for c in self.columns if isinstance(c, ListColumn)]
        self._numeric = [c for c in self.columns if not isinstance(c, (IdColumn, ListColumn))]
        self._targets = {column.name: i for i, column in enumerate(self._ids)}
        self._list_ids: list[Vocabulary | Buckets] = []
        for column in self._lists:
            ids = column.ids if column.target not in self._targets else self._ids[self._targets[column.target]].ids
            if ids is None:
                raise UserError(f"column {column.name!r}: its target {column.target!r} is no column of ids")
            self._list_ids.append(ids)

    @classmethod
    def fit(cls, features: Sequence[Feature], frame: pl.DataFrame) -> "Encoder":
        """Fit every feature's column on training rows that are all there; `EncoderFitter` takes them in chunks.

        Raises:
            UserError: columns that are not there, or do not hold what their kind says; all of them.
        """
        fitter = EncoderFitter(features)
        fitter.see(frame)
        return fitter.done()

    @property
    def names(self) -> list[str]:
        """The columns that rows must have."""
        return [column.name for column in self.columns]

    @property
    def rows(self) -> list[int]:
        """Embedding rows of each categorical or hashed feature."""
        return [column.rows for column in self._ids]

    @property
    def widths(self) -> list[int]:
        """Embedding width of each categorical or hashed feature."""
        return [column.dim for column in self._ids]

    @property
    def numbers(self) -> int:
        """M, the number of numeric inputs."""
        return sum(column.width for column in self._numeric)

    def slices(self) -> dict[str, Slices]:
        """Where each feature lies in encoded rows, by name, in the order of the columns."""
        found: dict[str, Slices] = {}
        i = number = listed = 0
        for column in self.columns:
            ids, lists = isinstance(column, IdColumn), isinstance(column, ListColumn)
            width = 0 if isinstance(column, (IdColumn, ListColumn)) else column.width
            found[column.name] = Slices(slice(i, i + ids), slice(number, number + width), slice(listed, listed + lists))
            i, number, listed = i + ids, number + width, listed + lists
        return found

    @property
    def inputs(self) -> Inputs:
        """The shape of encoded rows."""
        lists = []
        for column, ids in zip(self._lists, self._list_ids, strict=True):
            target = self._targets[column.target] if column.target is not None else None
            width = column.dim if target is None else self._ids[target].dim
            rows = ids.rows if target is None else 0
            lists.append(ListFeature(width=width, pool=column.pool, rows=rows, target=target))
        grids: list[Grid | None] = []
        for number in self._numeric:
            grids += number.grids
        return Inputs(
            rows=tuple(self.rows),
            widths=tuple(self.widths),
            numbers=self.numbers,
            lists=tuple(lists),
            quantiles=tuple(grids),
            names=tuple(self._targets),
        )

    def encode(self, frame: pl.DataFrame) -> Encoded:
        """Encode any rows; further columns are ignored.

        Raises:
            UserError: a feature column that is missing or holds what its kind cannot; all of them.
        """
        problems, present = Problems(), dict.fromkeys(frame.columns)
        for name in self.names:
            if name not in present:
                problems.add(_absent(name, list(present)))
        problems.raise_if_any()
        n = len(frame)
        ids = np.empty((n, len(self._ids)), dtype=np.int32)
        numbers = np.empty((n, self.numbers), dtype=np.float32)
        columns = [frame.get_column(column.name) for column in self.columns]

        def encode(start: int) -> tuple[list[tuple[np.ndarray, np.ndarray]], dict[str, BadValue | UserError]]:
            end = start + BLOCK
            rows = [column.slice(start, BLOCK) for column in columns]
            return self._encode_block(rows, ids[start:end], numbers[start:end], start)

        blocks = in_threads(encode, range(0, n, BLOCK) or [0])
        wrong: dict[str, BadValue | UserError] = {}
        for _, found in blocks:
            wrong = found | wrong  # the first row stands for the column
        for name in self.names:
            if name in wrong:
                problems.add(_told(wrong[name], frame))
        problems.raise_if_any()
        lists = tuple(_ragged([parts[i] for parts, _ in blocks]) for i in range(len(self._lists)))
        return Encoded(torch.from_numpy(ids), torch.from_numpy(numbers), lists)

    def _encode_block(
        self, rows: Sequence[pl.Series], ids: np.ndarray, numbers: np.ndarray, start: int
    ) -> tuple[list[tuple[np.ndarray, np.ndarray]], dict[str, BadValue | UserError]]:
        """Write ids and numbers; the lists' ids and lengths, and what is wrong with any column."""
        # Column by column into rows of memory, and those turned over at once: far fewer cache lines are touched.
        by_id = np.empty(ids.shape[::-1], dtype=ids.dtype)
        by_number = np.empty(numbers.shape[::-1], dtype=numbers.dtype)
        lists: list[tuple[np.ndarray, np.ndarray]] = []
        wrong: dict[str, BadValue | UserError] = {}
        for column, place, series in zip(self.columns, self.slices().values(), rows, strict=True):
            try:
                if isinstance(column, IdColumn):
                    column.encode(series, by_id[place.ids.start])
                elif isinstance(column, ListColumn):
                    lists.append(column.encode(series, self._list_ids[len(lists)]))
                else:
                    column.encode(series, by_number[place.numbers])
            except (BadValue, UserError) as error:
                if isinstance(error, BadValue):
                    error.index += start
                if isinstance(column, ListColumn):
                    lists.append((np.empty(0, np.int32), np.empty(0, np.int64)))
                wrong[column.name] = error
        ids[:], numbers[:] = by_id.T, by_number.T
        return lists, wrong

    def csv_types(self) -> dict[str, pl.DataType]:
        """How to read the columns from text so that values mean what they meant in training."""
        # Text holds every value: what is no number in a column of ids is unseen there, and no reading error. Lists
        # are left to the reader, and refused here if they come as text.
        return {c.name: pl.String() for c in self.columns if c.text}

    def to_json(self) -> str:
        """JSON from which `from_json` makes an equal encoder."""
        return json.dumps([column_to_json(column) for column in self.columns], ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The encoder that `to_json` wrote.

        Raises:
            UserError: the text is not such JSON.
        """
        return cls.from_plain(parse_json(text, name="the encoder"))

    @classmethod
    def from_plain(cls, columns: Any) -> Self:
        """The encoder of the values that `to_json` wrote as JSON.

        Raises:
            UserError: they are no such values.
        """
        if not isinstance(columns, list) or not all(isinstance(fields, dict) for fields in columns):
            raise UserError("the encoder cannot be read: it must be a list of columns, each with its keys")
        return cls([column_from_json(fields) for fields in columns])


@final
class EncoderFitter:
    """Fits an encoder to training rows that arrive in chunks; memory grows with vocabularies, not with rows.

    Args:
        features: what to fit.

    Raises:
        UserError: what `check_features` finds.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        check_features(features)
        self._fitters = make_fitters(features)
        self._wrong: dict[str, str] = {}
        self._rows = 0

    @property
    def problems(self) -> list[str]:
        """What is wrong with the rows so far, one problem a column."""
        return [self._wrong[name] for name in self._fitters if name in self._wrong]

    def see(self, frame: pl.DataFrame) -> None:
        """Take in some rows; what is wrong with them waits for `done`, so that the user hears of all at once."""
        present = dict.fromkeys(frame.columns)
        for name in self._fitters:
            if name not in present:
                self._wrong.setdefault(name, _absent(name, list(present)))

        def see(name: str) -> None:
            try:
                self._fitters[name].see(frame.get_column(name))
            except (BadValue, UserError) as error:
                if isinstance(error, BadValue) and ROW not in present:
                    error.index += self._rows
                self._wrong[name] = _told(error, frame)

        in_threads(see, [name for name in self._fitters if name not in self._wrong])
        self._rows += len(frame)

    def done(self) -> Encoder:
        """The fitted encoder.

        Raises:
            UserError: columns that are not there, or do not hold what their kind says; all of them.
        """
        if self._wrong:
            raise UserError(self.problems)
        problems = Problems()

        def done(fitter: Fitter) -> Column | None:
            with problems.collect():
                return fitter.done()
            return None

        columns = in_threads(done, list(self._fitters.values()))
        problems.raise_if_any()
        return Encoder([column for column in columns if column is not None])


def _absent(name: str, present: Sequence[str]) -> str:
    return f"feature column {name!r} is not in the table{did_you_mean(name, present)}"


def _told(error: BadValue | UserError, frame: pl.DataFrame) -> str:
    return str(error.in_table(frame) if isinstance(error, BadValue) else error)


def _ragged(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Ragged:
    values = np.concatenate([values for values, _ in parts])
    offsets = np.concatenate([np.zeros(1, np.int64), *(lengths for _, lengths in parts)]).cumsum()
    return Ragged(torch.from_numpy(values), torch.from_numpy(offsets))
