"""Things chosen by name: tables of classes, whose constructors tell the options that a user may give."""

import inspect
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, get_type_hints

from trunkline.errors import UserError, did_you_mean

T = TypeVar("T")


def find(what: str, name: str, table: Mapping[str, type[T]]) -> type[T]:
    """The class of that name.

    Args:
        what: the sort of thing, for the message.
        name: as the user wrote it.
        table: what there is.

    Raises:
        UserError: an unknown name, with the table, a line each.
    """
    if name not in table:
        lines = [f"  {known}: {summary(thing)}" for known, thing in table.items()]
        raise UserError("\n".join([f"{what} {name!r} is unknown{did_you_mean(name, table)} (one of these)", *lines]))
    return table[name]


def summary(thing: type[Any]) -> str:
    """The first line of a class's documentation."""
    return (inspect.getdoc(thing) or "").splitlines()[0]


def options(thing: type[Any], context: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """A class's own options: name -> (type, default), default `inspect.Parameter.empty` if it must be given.

    Args:
        thing: the class.
        context: constructor arguments that a user does not give.
    """
    hints = get_type_hints(thing.__init__)
    parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
    return {p.name: (hints[p.name], p.default) for p in parameters if p.name not in context}


def make(thing: type[T], values: Mapping[str, Any], context: Mapping[str, Any]) -> T:
    """An instance, given its options and as much of the context as its constructor asks for.

    Raises:
        UserError: values out of range.
    """
    wanted = inspect.signature(thing.__init__).parameters
    return thing(**{name: value for name, value in context.items() if name in wanted}, **values)
