"""`tasks`: what is predicted."""

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator

from trunkline.config.section import Chosen, Name, as_name, chosen
from trunkline.errors import UserError
from trunkline.registry import Options
from trunkline.tables.number_format import NumberFormat
from trunkline.tasks import TASK_KINDS
from trunkline.tasks.base import word

Calibrate = Literal["none", "temperature", "platt", "isotonic"]


def _options(kind: str) -> Options:
    """What one kind of task takes beyond what every kind takes, without what training rows fill in."""
    learned = {field.name for field in fields(TASK_KINDS.find(kind)) if field.metadata.get("learned")}
    return {name: option for name, option in TASK_KINDS.options(kind).items() if name not in learned}


def _as_tuple(value: Any) -> Any:
    """One name is short for a list of it."""
    one = as_name(value)
    return (one,) if isinstance(one, str) else value


def _names(value: Any) -> Any:
    if isinstance(value, dict) or (isinstance(value, (list, tuple)) and any(isinstance(one, dict) for one in value)):
        raise ValueError("give names, such as [rmse, mae]; a metric has no options")
    return _as_tuple(value)


def _none_if_missing(value: Any) -> Any:
    return None if value == "missing" else value


def _words(value: Any) -> Any:
    """A number that stands where a word is wanted is the word that spells it."""
    given = value if isinstance(value, (list, tuple)) else (value,)
    return [word(one) if isinstance(one, (int, float)) else one for one in given]


def _number_format(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None:
        try:
            NumberFormat.of(value)
        except UserError as error:
            raise ValueError(str(error)) from None
    return value


class TaskConfig(Chosen):
    """A task; see `tasks.Task`, and the kind's class for options of its own."""

    label: Name | None = None
    """Column of the label; the task's name unless given."""
    where: Name | None = None
    """A binary task: only rows in which it happened count."""
    space: Name | None = None
    """A binary task without which this one cannot happen: trained over all rows through the joint probability."""
    values: dict[str, Annotated[str | float | None, BeforeValidator(_none_if_missing)]] | None = None
    """What words and numbers in the label's column stand for: `{bought: 1, returned: 0, "?": missing}`."""
    missing: Annotated[tuple[str, ...], BeforeValidator(_words)] | None = None
    """Words and numbers in the label's column that mean "not observed"."""
    format: Annotated[dict[str, Any] | None, AfterValidator(_number_format)] = None
    """How numbers are written in the label's column where people wrote them: `{decimal: ",", strip: "€"}`."""
    weight: Name | None = None
    """Column of row weights, 0 or above."""
    reads: Annotated[tuple[Name, ...], BeforeValidator(_as_tuple)] = ()
    """Tasks whose estimates this tower receives."""
    gradient: Literal["stop", "flow"] = "stop"
    """Whether this task's loss may reach the towers whose estimates it takes."""
    metrics: Annotated[tuple[str, ...] | None, BeforeValidator(_names)] = None
    """Metrics to report beside those of the kind."""
    calibrate: Calibrate = "none"
    """How estimates are corrected on the validation rows once the training is done."""


AnyTask = Annotated[TaskConfig, BeforeValidator(chosen(_options, common=TaskConfig))]
