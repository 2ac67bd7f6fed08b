"""One feature column's way into numbers: fitted on training rows, saved as JSON, applied to any rows."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from trunkline.errors import UserError
from trunkline.tables.columns.boolean import BooleanColumn
from trunkline.tables.columns.categorical import CategoricalColumn
from trunkline.tables.columns.datetime import DatetimeColumn
from trunkline.tables.columns.numeric import NumericColumn

__all__ = [
    "COLUMNS",
    "BooleanColumn",
    "CategoricalColumn",
    "Column",
    "DatetimeColumn",
    "NumericColumn",
    "column_from_json",
    "column_to_json",
]

Column = CategoricalColumn | NumericColumn | BooleanColumn | DatetimeColumn
COLUMNS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (CategoricalColumn, NumericColumn, BooleanColumn, DatetimeColumn)
}


def column_to_json(column: Column) -> dict[str, Any]:
    """Plain values from which `column_from_json` makes an equal column."""
    return {"kind": column.kind, **asdict(column)}


def column_from_json(fields: Mapping[str, Any]) -> Column:
    """The column that `column_to_json` wrote.

    Raises:
        UserError: an unknown kind or field.
    """
    arguments: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
    kind = COLUMNS.get(arguments.pop("kind", ""))
    try:
        if kind is None:
            raise TypeError(f"kind {fields.get('kind')!r} is none of {', '.join(COLUMNS)}")
        return kind(**arguments)
    except TypeError as error:
        raise UserError(f"the encoder's column {fields.get('name')!r} cannot be read: {error}") from error
