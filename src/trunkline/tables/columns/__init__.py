"""One feature column's way into ids or numbers: fitted on training rows, saved as JSON, applied to any rows."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

import polars as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError

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
    name = arguments.get("kind")
    try:
        if not isinstance(name, str) or name not in _COLUMNS:
            raise TypeError(f"kind {name!r} is none of {', '.join(_COLUMNS)}")
        kind = _COLUMNS[name]
        if kind not in (IdColumn, ListColumn):
            del arguments["kind"]
        elif isinstance(arguments.get("ids"), Mapping):
            ids = arguments["ids"]
            arguments["ids"] = Buckets.from_json(ids) if "buckets" in ids else Vocabulary.from_json(ids)
        _check_types(name, arguments)
        return kind(**arguments)
    except (TypeError, ValueError, KeyError, OverflowError, pl.exceptions.PolarsError) as error:
        raise UserError(f"the encoder's column {plain.get('name')!r} cannot be read: {error}") from error


def _check_types(kind: str, arguments: Mapping[str, Any]) -> None:
    for name, adapter in _adapters(kind).items():
        if name not in arguments:
            raise KeyError(f"{name} is missing")
        try:
            adapter.validate_python(arguments[name])
        except ValidationError as error:
            raise TypeError(f"{name}: {error.errors()[0]['msg']}") from None


@cache
def _adapters(kind: str) -> dict[str, TypeAdapter[Any]]:
    """What checks each field of such a column: its type to the letter, and no number that is not finite."""
    rules = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    hints = get_type_hints(_COLUMNS[kind])
    return {field.name: TypeAdapter(hints[field.name], config=rules) for field in fields(_COLUMNS[kind])}
