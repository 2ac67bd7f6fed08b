"""One feature column's way into ids or numbers: fitted on training rows, saved as JSON, applied to any rows."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.boolean import BooleanColumn, BooleanFitter
from trunkline.tables.columns.buckets import Buckets
from trunkline.tables.columns.datetime import DatetimeColumn, DatetimeFitter
from trunkline.tables.columns.id_column import CategoricalFitter, HashedFitter, IdColumn
from trunkline.tables.columns.list_column import ListColumn, ListFitter
from trunkline.tables.columns.numeric import NumericColumn, NumericFitter
from trunkline.tables.columns.vector import VectorColumn, VectorFitter
from trunkline.tables.columns.vocabulary import Vocabulary
from trunkline.tables.schema import Feature

__all__ = [
    "BooleanColumn",
    "Buckets",
    "Column",
    "DatetimeColumn",
    "Fitter",
    "IdColumn",
    "ListColumn",
    "NumberColumn",
    "NumericColumn",
    "VectorColumn",
    "Vocabulary",
    "column_from_json",
    "column_to_json",
    "make_fitters",
]

NumberColumn = NumericColumn | VectorColumn | BooleanColumn | DatetimeColumn
Column = IdColumn | ListColumn | NumberColumn
Fitter = CategoricalFitter | HashedFitter | ListFitter | NumericFitter | VectorFitter | BooleanFitter | DatetimeFitter

_COLUMNS: dict[str, type[Column]] = {
    "categorical": IdColumn,
    "hashed": IdColumn,
    "bag": ListColumn,
    "sequence": ListColumn,
    "numeric": NumericColumn,
    "vector": VectorColumn,
    "boolean": BooleanColumn,
    "datetime": DatetimeColumn,
}
_FITTERS: dict[
    str, type[CategoricalFitter | HashedFitter | NumericFitter | VectorFitter | BooleanFitter | DatetimeFitter]
]
_FITTERS = {
    "categorical": CategoricalFitter,
    "hashed": HashedFitter,
    "numeric": NumericFitter,
    "vector": VectorFitter,
    "boolean": BooleanFitter,
    "datetime": DatetimeFitter,
}


def make_fitters(features: Sequence[Feature]) -> list[Fitter]:
    """What learns each feature's column from training rows, in their order; sequences are tied to their targets."""
    alone = {f.name: _FITTERS[f.kind](f) for f in features if f.kind in _FITTERS}
    fitters: list[Fitter] = []
    for feature in features:
        target = alone.get(feature.target or "")
        if feature.kind in _FITTERS:
            fitters.append(alone[feature.name])
        else:
            shared = target if isinstance(target, (CategoricalFitter, HashedFitter)) else None
            fitters.append(ListFitter(feature, shared))
    return fitters


def column_to_json(column: Column) -> dict[str, Any]:
    """Plain values from which `column_from_json` makes an equal column."""
    plain: dict[str, Any] = {"kind": column.kind}
    for field in fields(column):
        value = getattr(column, field.name)
        plain[field.name] = value.to_json() if isinstance(value, (Vocabulary, Buckets)) else value
    return plain


def column_from_json(plain: Mapping[str, Any]) -> Column:
    """The column that `column_to_json` wrote.

    Raises:
        UserError: an unknown kind or field, or values that make no column.
    """
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
    }
    kind = _COLUMNS.get(arguments.get("kind", ""))
    try:
        if kind is None:
            raise TypeError(f"kind {plain.get('kind')!r} is none of {', '.join(_COLUMNS)}")
        if kind not in (IdColumn, ListColumn):
            del arguments["kind"]
        elif isinstance(arguments.get("ids"), Mapping):
            ids = arguments["ids"]
            arguments["ids"] = Buckets.from_json(ids) if "buckets" in ids else Vocabulary.from_json(ids)
        return kind(**arguments)
    except (TypeError, ValueError, KeyError, OverflowError, pl.exceptions.PolarsError) as error:
        raise UserError(f"the encoder's column {plain.get('name')!r} cannot be read: {error}") from error
