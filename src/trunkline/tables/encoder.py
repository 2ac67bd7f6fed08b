"""Columns in, tensors out: every feature column's encoding, fitted on the training rows only."""

import json
from collections.abc import Sequence
from typing import Self, final

import numpy as np
import polars as pl
import torch
from torch import Tensor

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.tables.columns import (
    COLUMNS,
    CategoricalColumn,
    Column,
    column_from_json,
    column_to_json,
)
from trunkline.tables.rows import BadValue
from trunkline.tables.schema import Feature


@final
class Encoder:
    """Turns feature columns into ids `[N, C]` and numbers `[N, M]`.

    Args:
        columns: the fitted columns, in the order of the features.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.categorical = [c for c in self.columns if isinstance(c, CategoricalColumn)]
        self.numeric = [c for c in self.columns if not isinstance(c, CategoricalColumn)]

    @classmethod
    def fit(cls, features: Sequence[Feature], frame: pl.DataFrame) -> Self:
        """Fit every feature's column on training rows.

        Raises:
            UserError: columns that are not there, or do not hold what their kind says; all of them.
        """
        _require([feature.name for feature in features], frame.columns)
        problems, columns = Problems(), []
        for feature in features:
            try:
                columns.append(COLUMNS[feature.kind].fit(feature, frame[feature.name]))
            except BadValue as error:
                problems.add(str(error.in_table(frame)))
            except UserError as error:
                problems.add(str(error))
        problems.raise_if_any()
        return cls(columns)

    @property
    def names(self) -> list[str]:
        """The columns that rows must have."""
        return [column.name for column in self.columns]

    @property
    def rows(self) -> list[int]:
        """Embedding rows of each categorical feature."""
        return [column.rows for column in self.categorical]

    @property
    def widths(self) -> list[int]:
        """Embedding width of each categorical feature."""
        return [column.dim for column in self.categorical]

    @property
    def numbers(self) -> int:
        """M, the number of numeric inputs."""
        return sum(column.width for column in self.numeric)

    def encode(self, frame: pl.DataFrame) -> tuple[Tensor, Tensor]:
        """Ids `[N, C]` int32 and numbers `[N, M]` float32 of any rows; further columns are ignored.

        Raises:
            UserError: a feature column that is missing or holds what its kind cannot; all of them.
        """
        _require(self.names, frame.columns)
        ids = np.empty((len(frame), len(self.categorical)), dtype=np.int32)
        numbers = np.empty((len(frame), self.numbers), dtype=np.float32)
        problems, start = Problems(), 0
        for i, categorical in enumerate(self.categorical):
            ids[:, i] = categorical.encode(frame[categorical.name])
        for column in self.numeric:
            try:
                numbers[:, start : start + column.width] = column.encode(frame[column.name])
            except BadValue as error:
                problems.add(str(error.in_table(frame)))
            except UserError as error:
                problems.add(str(error))
            start += column.width
        problems.raise_if_any()
        return torch.from_numpy(ids), torch.from_numpy(numbers)

    def csv_types(self) -> dict[str, pl.DataType]:
        """How to read the columns from text so that values mean what they meant in training."""
        # Text holds every value: what is no number in a column of ids is unseen there, and no reading error.
        return {column.name: pl.String() for column in self.columns}

    def to_json(self) -> str:
        """JSON from which `from_json` makes an equal encoder."""
        return json.dumps([column_to_json(column) for column in self.columns], ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The encoder that `to_json` wrote.

        Raises:
            UserError: the text is not such JSON.
        """
        try:
            columns = json.loads(text)
            return cls([column_from_json(fields) for fields in columns])
        except (ValueError, TypeError, AttributeError) as error:
            raise UserError(f"the encoder cannot be read: {error}") from error


def _require(names: Sequence[str], present: Sequence[str]) -> None:
    problems = Problems()
    for name in names:
        if name not in present:
            problems.add(f"feature column {name!r} is not in the table{did_you_mean(name, present)}")
    problems.raise_if_any()
