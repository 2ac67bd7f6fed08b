"""The base models of all sections."""

import inspect
from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)

from trunkline.errors import UserError, did_you_mean
from trunkline.registry import Options

Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Paths = str | list[str]


def as_name(value: Any) -> Any:
    """A whole number that names a column or a task is its digits: frames and arrays call columns 0, 1, 2."""
    return str(value) if isinstance(value, Integral) and not isinstance(value, bool) else value


Name = Annotated[str, BeforeValidator(as_name)]
"""Of a column, or of a task."""


class Section(BaseModel):
    """A part of the config; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_serializer(mode="wrap")
    def _readable(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Kind first; a null only where it differs from the default."""
        fields = type(self).model_fields
        values = {
            k: v for k, v in handler(self).items() if v is not None or k not in fields or fields[k].default is not None
        }
        return ({"kind": values["kind"]} if "kind" in values else {}) | values


class Chosen(Section):
    """A thing chosen by name, and its options, all written out."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)

    kind: str

    @property
    def options(self) -> dict[str, Any]:
        """The options."""
        return dict(self.__pydantic_extra__ or {})


def kind_alone(value: Any) -> Any:
    """`uncertainty` is short for `{kind: uncertainty}`."""
    return {"kind": value} if isinstance(value, str) else value


def chosen(
    options_of: Callable[[str], Options],
    *,
    default: str | None = None,
    common: type[Chosen] = Chosen,
    per_task: bool = False,
) -> Callable[[Any], Any]:
    """A validator of a `Chosen`.

    Args:
        options_of: the options of a name; raises `UserError` for an unknown one.
        default: the kind where options are given without one.
        common: the model, whose own fields every kind takes.
        per_task: a number for each task, by its name, may stand where the constructor takes a list of them.
    """
    shared = [name for name in common.model_fields if name != "kind"]

    def check(value: Any) -> Any:
        raw = value.model_dump() if isinstance(value, Chosen) else kind_alone(value)
        if isinstance(raw, dict) and default is not None:
            raw = {"kind": default, **raw}
        if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
            raise ValueError(f"{value!r}: give its kind, or its kind and options")
        if not all(isinstance(name, str) for name in raw):
            raise ValueError(f"{raw!r}: the name of every option must be text")
        try:
            known = options_of(raw["kind"])
        except UserError as error:
            raise ValueError(str(error)) from None
        own = {name: v for name, v in raw.items() if name not in ("kind", *shared)}
        declared = {name: raw[name] for name in shared if name in raw}
        return {"kind": raw["kind"], **declared, **_checked(raw["kind"], own, known, shared, per_task)}

    return check


def _checked(kind: str, raw: Mapping[str, Any], known: Options, shared: list[str], per_task: bool) -> dict[str, Any]:
    problems, values = [], {}
    for name in raw:
        if name not in known:
            names = [*known, *shared]
            problems.append(
                f"unknown key {name!r} in {kind}{did_you_mean(name, names)} (known: {', '.join(names) or 'none'})"
            )
    for name, (annotation, default) in known.items():
        value = raw.get(name, default)
        if value is inspect.Parameter.empty:
            problems.append(f"{name} is missing; {kind} needs it")
            continue
        by_task = per_task and isinstance(value, dict) and _takes_list(annotation)
        try:
            checked = TypeAdapter(dict[str, float] if by_task else annotation).validate_python(value)
            # As YAML would give it back, lest a config differ from its own file.
            values[name] = checked if str(annotation).startswith("tuple[") else _lists(checked)
        except ValidationError as error:
            problems.append(f"{name} of {kind}: {value!r}: {error.errors()[0]['msg']}")
    if problems:
        raise ValueError("\n".join(problems))
    return values


def _lists(value: Any) -> Any:
    return [_lists(one) for one in value] if isinstance(value, (list, tuple)) else value


def _takes_list(annotation: Any) -> bool:
    return any(word in str(annotation) for word in ("Sequence", "list[", "tuple["))
