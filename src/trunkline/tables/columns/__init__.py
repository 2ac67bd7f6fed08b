"""Feature kinds: each column's way into ids or numbers, fitted on training rows, applied to any rows."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from functools import cache
from inspect import Parameter
from typing import Any, get_type_hints

import polars as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError

from trunkline.errors import Problems, UserError
from trunkline.registry import Registry
from trunkline.tables.columns.base import Feature, NumberColumn, NumberFeature, NumberFitter
from trunkline.tables.columns.boolean import Boolean
from trunkline.tables.columns.buckets import Buckets
from trunkline.tables.columns.datetime import Datetime
from trunkline.tables.columns.id_column import Categorical, CategoricalFitter, Hashed, HashedFitter, IdColumn
from trunkline.tables.columns.list_column import Bag, ListColumn, ListFitter, Sequence
from trunkline.tables.columns.numeric import Numeric, NumericColumn
from trunkline.tables.columns.vector import Vector
from trunkline.tables.columns.vocabulary import Vocabulary

__all__ = [
    "FEATURE_KINDS",
    "Bag",
    "Boolean",
    "Buckets",
    "Categorical",
    "Column",
    "Datetime",
    "Feature",
    "Fitter",
    "Hashed",
    "IdColumn",
    "ListColumn",
    "NumberColumn",
    "NumberFeature",
    "NumberFitter",
    "Numeric",
    "NumericColumn",
    "Sequence",
    "Vector",
    "Vocabulary",
    "column_from_json",
    "column_to_json",
    "make_feature",
    "make_fitters",
]

Column = IdColumn | ListColumn | NumberColumn
Fitter = CategoricalFitter | HashedFitter | ListFitter | NumberFitter

FEATURE_KINDS: Registry[Feature] = Registry(
    "kind",
    {kind.kind: kind for kind in (Categorical, Hashed, Bag, Sequence, Numeric, Vector, Boolean, Datetime)},
    context=["name"],
    group="trunkline.features",
    base=(NumberFeature, Categorical, Hashed, Bag, Sequence),
    needs=["name"],
)
"""The kinds a config can name."""


def make_feature(*, name: str, kind: str, **options: Any) -> Feature:
    """A feature of a kind.

    Args:
        name: of the column.
        kind: of `FEATURE_KINDS`.
        options: of the kind; those that are None are left to their defaults.

    Raises:
        UserError: an unknown kind, an option that the kind does not have, one that is missing or out of range; all.
    """
    known, problems = FEATURE_KINDS.options(kind), Problems()
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in known:
            problems.add(f"feature {name}: {option} is no option of kind {kind} (known: {', '.join(known) or 'none'})")
    for option, (_, default) in known.items():
        if default is Parameter.empty and option not in given:
            problems.add(f"feature {name}: {option} is missing; kind {kind} needs it")
    problems.raise_if_any()
    return FEATURE_KINDS.make(kind, given, name=name)


def make_fitters(features: Iterable[Feature]) -> dict[str, Fitter]:
    """What learns each feature's column from training rows, by name; sequences are tied to their targets."""
    features = list(features)
    alone = {f.name: f.fitter() for f in features if isinstance(f, (NumberFeature, Categorical, Hashed))}
    fitters: dict[str, Fitter] = {}
    for feature in features:
        if isinstance(feature, (Bag, Sequence)):
            target = alone.get(feature.target or "")
            fitters[feature.name] = feature.fitter(
                target if isinstance(target, (CategoricalFitter, HashedFitter)) else None
            )
        else:
            fitters[feature.name] = alone[feature.name]
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
    arguments: dict[str, Any] = {key: _tuples(value) for key, value in plain.items()}
    name = arguments.get("kind")
    try:
        if not isinstance(name, str):
            raise TypeError(f"kind {name!r} is no name")
        kind = FEATURE_KINDS.find(name).column
        if kind not in (IdColumn, ListColumn):
            del arguments["kind"]
        elif isinstance(arguments.get("ids"), Mapping):
            ids = arguments["ids"]
            arguments["ids"] = Buckets.from_json(ids) if "buckets" in ids else Vocabulary.from_json(ids)
        _check_types(name, arguments)
        column: Column = kind(**arguments)
        return column
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError, pl.exceptions.PolarsError) as error:
        raise UserError(f"the encoder's column {plain.get('name')!r} cannot be read: {error}") from error


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _check_types(kind: str, arguments: Mapping[str, Any]) -> None:
    for name, adapter in _adapters(kind).items():
        if name not in arguments:
            if FEATURE_KINDS.find(kind).column.__dataclass_fields__[name].default is not MISSING:
                continue  # what an earlier version did not write
            raise KeyError(f"{name} is missing")
        try:
            adapter.validate_python(arguments[name])
        except ValidationError as error:
            raise TypeError(f"{name}: {error.errors()[0]['msg']}") from None


@cache
def _adapters(kind: str) -> dict[str, TypeAdapter[Any]]:
    """What checks each field of such a column: its type to the letter, and no number that is not finite."""
    rules = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)
    column = FEATURE_KINDS.find(kind).column
    hints = get_type_hints(column)
    return {field.name: TypeAdapter(hints[field.name], config=rules) for field in fields(column)}
