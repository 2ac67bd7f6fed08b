"""What training rows taught of labels, as it is read back from JSON: to the letter, or refused."""

import math
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

import polars as pl
from pydantic import ConfigDict, TypeAdapter, ValidationError

from trunkline.errors import UserError
from trunkline.tables.columns.classes import Value
from trunkline.tasks import Task


def weight_scale(task: Task, value: Any) -> float:
    """The factor of a task's row weights, if it can be one.

    Raises:
        UserError: it cannot.
    """
    if type(value) is not float or not 0 < value < math.inf:
        raise UserError(f"labels of task {task.name}: weight_scale {value!r}: it must be a number above 0")
    return value


def learned_fields(task: Task, learned: Any) -> dict[str, Any]:
    """What stands in JSON for a task, if it is what training rows could have taught.

    Raises:
        UserError: it is not.
    """
    adapters = _adapters(type(task))
    if not isinstance(learned, Mapping) or set(learned) != set(adapters):
        raise UserError(f"labels of task {task.name}: they must have {', '.join(adapters) or 'nothing'}")
    for name, adapter in adapters.items():
        value = learned[name]
        try:
            adapter.validate_python(tuple(value) if isinstance(value, list) and name != "levels" else value)
        except ValidationError as error:
            raise UserError(f"labels of task {task.name}: {name}: {error.errors()[0]['msg']}") from None
    if task.leveled:
        levels = learned["levels"]
        counted = learned.get("classes", len(learned.get("values", ())))
        sorts = {"number" if type(level) in (int, float) else type(level).__name__ for level in levels}
        alike = list(learned.get("values", levels)) == levels
        if not len(levels) == len(set(levels)) == counted or len(levels) < 2 or len(sorts) > 1 or not alike:
            raise UserError(f"labels of task {task.name}: {len(levels)} levels, where {counted} of one type are needed")
        try:
            pl.Series(levels)
        except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
            raise UserError(f"labels of task {task.name}: levels: {error}") from None
    return dict(learned)


@cache
def _adapters(kind: type[Task]) -> dict[str, TypeAdapter[Any]]:
    """What checks each field that training rows fill in: its type to the letter, and no number that is not finite."""
    rules = ConfigDict(strict=True, allow_inf_nan=False)
    hints = get_type_hints(kind)
    found = {
        field.name: TypeAdapter(hints[field.name], config=rules)
        for field in fields(kind)
        if "learned" in field.metadata
    }
    return found | ({"levels": TypeAdapter(list[Value], config=rules)} if kind.leveled else {})
