"""Registries: things chosen by name, whose constructors tell the options that a user may give."""

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Generic, TypeVar, final, get_type_hints

from trunkline.errors import UserError, did_you_mean
from trunkline.plugins import Plugin, load, plugins

T = TypeVar("T")
C = TypeVar("C", bound=type[Any])
Options = dict[str, tuple[Any, Any]]
"""Options by name: (type, default), default `inspect.Parameter.empty` where it must be given."""


@final
class Registry(Mapping[str, type[T]], Generic[T]):
    """Classes by name, a mapping.

    A name that is not in the table is looked for among the entry points of installed packages, if the registry has a
    group of them; nothing is loaded but what is asked for. A constructor's keywords are the options in the YAML.

    Args:
        what: the sort of thing, for messages.
        table: our own classes.
        context: constructor arguments that a user does not give: what the network knows.
        group: entry points of that group belong here too.
        base: what a class must derive from.
        needs: constructor arguments that every class must take.

    Examples:
        >>> from trunkline.balance.methods import OBJECTIVES
        >>> OBJECTIVES.find("sum").__name__
        'Sum'
    """

    def __init__(
        self,
        what: str,
        table: Mapping[str, type[T]],
        *,
        context: Collection[str] = (),
        group: str | None = None,
        base: type[Any] | tuple[type[Any], ...] = object,
        needs: Collection[str] = (),
    ) -> None:
        self.what, self.group = what, group
        self._table, self._context = dict(table), tuple(context)
        self._base, self._needs = base, tuple(needs)
        self._by_program, self._loaded = set[str](), dict[str, Plugin]()

    def register(self, name: str, thing: C | None = None) -> Any:
        """Add a class under a name: `OBJECTIVES.register("mine", Mine)`, or above the class as a decorator.

        Args:
            name: as the YAML names it.
            thing: the class.

        Raises:
            UserError: the name is taken, or the class is not of this sort.
        """
        if thing is None:
            return lambda decorated: self.register(name, decorated)
        if name in self._table and self._table[name] is not thing:
            taken = self._table[name]
            raise UserError(
                f"{self.what} {name!r} is there already ({taken.__module__}.{taken.__qualname__}); register "
                f"{_path(thing)} under another name"
            )
        if trouble := self._trouble(thing):
            raise UserError(f"{self.what} {name!r}: {_path(thing)} {trouble}")
        if name not in self._table:
            self._by_program.add(name)
        self._table[name] = thing
        return thing

    def only_here(self, name: str) -> bool:
        """Whether a name is known to this process alone, since its program has registered it."""
        return name in self._by_program

    def find(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            UserError: an unknown name, with the table, a line each; a package whose class cannot be used, or whose
                name is taken.
        """
        offered = [plugin for plugin in self._offered() if plugin.name == name]
        if name in self._table:
            for plugin in offered:
                raise UserError(
                    f"{self.what} {name!r} is trunkline's own, and {plugin.package} offers another one under that "
                    f"name; uninstall {plugin.package}, or ask for a version that calls it otherwise"
                )
            return self._table[name]
        if len(offered) > 1:
            packages = " and ".join(plugin.package for plugin in offered)
            raise UserError(f"{self.what} {name!r} is offered by {packages}; uninstall all but one")
        if offered:
            thing = load(offered[0], self.what)
            if trouble := self._trouble(thing):
                raise UserError(
                    f"{self.what} {name!r} of {offered[0].package} cannot be used: it {trouble}; ask for another "
                    "version of it, or uninstall it"
                )
            self._table[name], self._loaded[name] = thing, offered[0]
            return self._table[name]
        lines = [f"  {known}: {summary(thing)}" for known, thing in self._table.items()]
        lines += [f"  {plugin.name}: of {plugin.package}" for plugin in self._offered()]
        hint = did_you_mean(name, self) or ("; is it of a package that is not installed?" if self.group else "")
        raise UserError("\n".join([f"{self.what} {name!r} is unknown{hint} (one of these)", *lines]))

    def options(self, name: str) -> Options:
        """A class's own options.

        Raises:
            UserError: an unknown name.
        """
        thing = self.find(name)
        if not _has_options(thing):
            return {}
        try:
            hints = get_type_hints(thing.__init__)
        except Exception as error:
            if is_ours(thing):
                raise
            raise UserError(f"{self.what} {name!r} ({_path(thing)}): its options cannot be read: {error}") from error
        parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
        return {p.name: (hints.get(p.name, Any), p.default) for p in parameters if p.name not in self._context}

    def make(self, name: str, values: Mapping[str, Any], /, **context: Any) -> T:
        """An instance.

        Args:
            name: of the class.
            values: its options.
            context: what the network knows; as much of it is given as the constructor asks for.

        Raises:
            UserError: an unknown name; values out of range; whatever a constructor of somebody else's raises.
        """
        thing: Callable[..., T] = self.find(name)
        wanted = inspect.signature(thing).parameters if _has_options(thing) else {}
        known = {key: value for key, value in context.items() if key in wanted}
        try:
            return thing(**known, **values)
        except UserError:
            raise
        except Exception as error:
            if is_ours(thing):
                raise
            given = ", ".join(f"{key}={value!r}" for key, value in values.items()) or "no options"
            raise UserError(
                f"{self.what} {name!r} ({_path(thing)}) cannot be made with {given}: {type(error).__name__}: {error}"
            ) from error

    def __getitem__(self, name: str) -> type[T]:
        if name in self._table:
            return self._table[name]
        if any(plugin.name == name for plugin in self._offered()):
            return self.find(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._table, *(plugin.name for plugin in self._offered())]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._table or any(plugin.name == name for plugin in self._offered())

    def _offered(self) -> list[Plugin]:
        """Entry points of installed packages, but for those of what is in the table because they were loaded."""
        if self.group is None:
            return []
        return [
            plugin
            for plugin in plugins(self.group)
            if plugin != self._loaded.get(plugin.name) and not plugin.gave(self._table.get(plugin.name))
        ]

    def _trouble(self, thing: Any) -> str:
        """Why a class cannot be in this table; empty if it can."""
        if not isinstance(thing, type):
            return f"is no class but {type(thing).__name__}"
        if not issubclass(thing, self._base):
            bases = self._base if isinstance(self._base, tuple) else (self._base,)
            return f"does not derive from {' or '.join(f'{base.__module__}.{base.__name__}' for base in bases)}"
        missing = sorted(getattr(thing, "__abstractmethods__", ()))
        if missing:
            return f"does not define {', '.join(missing)}"
        parameters = list(inspect.signature(thing).parameters.values()) if _has_options(thing) else []
        if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY) for p in parameters):
            return "has a constructor with *args, **kwargs or nameless arguments, which are no options"
        lacking = [name for name in self._needs if name not in {p.name for p in parameters}]
        return f"has a constructor without {', '.join(lacking)}" if lacking else ""


def is_ours(thing: Any) -> bool:
    """Whether a class, or the class of an object, is trunkline's own."""
    module = getattr(thing, "__module__", "") or type(thing).__module__
    return module.partition(".")[0] == "trunkline"


def _has_options(thing: Any) -> bool:
    """Whether a class has a constructor at all: object's own takes anything, to no effect."""
    return getattr(thing, "__init__", None) is not object.__init__


def _path(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', repr(thing))}".lstrip(".")


def told(thing: type[Any]) -> dict[str, str]:
    """What the documentation of a class and of its bases says of each argument or attribute, by name."""
    found: dict[str, str] = {}
    for text in (inspect.cleandoc(one.__doc__ or "") for one in reversed(thing.__mro__)):
        for section in re.findall(r"^(?:Args|Attributes):\n((?:[ ]+.*\n?|\n)+)", text, re.MULTILINE):
            for name, said in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", section, re.MULTILINE):
                own = re.sub(r"^as in `\w+`[;,.]? ?", "", " ".join(said.split()))
                before = f"{found[name]} " if name in found and own != " ".join(said.split()) else ""
                found[name] = before + (_sentence(own) if own else "")
    return {name: said.strip() for name, said in found.items()}


def _sentence(text: str) -> str:
    """A capital in front, unless it is a symbol of the maths, and a full stop at the end."""
    plain = text.replace("`", "").rstrip(".")
    return (plain[0].upper() if plain[0].isascii() else plain[0]) + plain[1:] + "."


def summary(thing: type[Any]) -> str:
    """The first line of a class's documentation."""
    return (inspect.getdoc(thing) or thing.__name__).splitlines()[0]
