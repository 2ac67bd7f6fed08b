"""Things chosen by name: tables of classes, whose constructors tell the options that a user may give."""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Generic, TypeVar, final, get_type_hints

from trunkline.errors import UserError, did_you_mean

T = TypeVar("T")
Options = dict[str, tuple[Any, Any]]
"""Options by name: (type, default), default `inspect.Parameter.empty` where it must be given."""


@final
class Registry(Mapping[str, type[T]], Generic[T]):
    """Classes by name, a mapping.

    Args:
        what: the sort of thing, for messages.
        table: the classes.
        context: constructor arguments that a user does not give: what the network knows.
    """

    def __init__(self, what: str, table: Mapping[str, type[T]], *, context: Collection[str]) -> None:
        self._what, self._table, self._context = what, dict(table), tuple(context)

    def find(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            UserError: an unknown name, with the table, a line each.
        """
        if name not in self:
            lines = [f"  {known}: {summary(thing)}" for known, thing in self.items()]
            hint = did_you_mean(name, self)
            raise UserError("\n".join([f"{self._what} {name!r} is unknown{hint} (one of these)", *lines]))
        return self._table[name]

    def options(self, name: str) -> Options:
        """A class's own options.

        Raises:
            UserError: an unknown name.
        """
        thing = self.find(name)
        hints = get_type_hints(thing.__init__)
        parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
        return {p.name: (hints[p.name], p.default) for p in parameters if p.name not in self._context}

    def make(self, name: str, values: Mapping[str, Any], **context: Any) -> T:
        """An instance.

        Args:
            name: of the class.
            values: its options.
            context: what the network knows; as much of it is given as the constructor asks for.

        Raises:
            UserError: an unknown name; values out of range.
        """
        thing: Callable[..., T] = self.find(name)
        wanted = inspect.signature(thing).parameters
        return thing(**{key: value for key, value in context.items() if key in wanted}, **values)

    def __getitem__(self, name: str) -> type[T]:
        return self._table[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)


def summary(thing: type[Any]) -> str:
    """The first line of a class's documentation."""
    return (inspect.getdoc(thing) or "").splitlines()[0]
