"""Plug-ins: what other installed packages offer under trunkline's entry points.

Installing a package is what lets its code run; a config or a run folder can name what it offers, and brings no code.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points, version
from typing import Any, final

from packaging.requirements import InvalidRequirement, Requirement

from trunkline.errors import UserError


@final
@dataclass(frozen=True)
class Plugin:
    """One entry point.

    Attributes:
        name: as the YAML names it.
        entry: where it is.
    """

    name: str
    entry: EntryPoint

    @property
    def package(self) -> str:
        """The package and its version."""
        found = self.entry.dist
        return self.entry.value if found is None else f"{found.name} {found.version}"

    def gave(self, thing: Any) -> bool:
        """Whether a class is the one that this entry point names."""
        return isinstance(thing, type) and f"{thing.__module__}:{thing.__qualname__}" == self.entry.value.replace(
            " ", ""
        )


@cache
def plugins(group: str) -> tuple[Plugin, ...]:
    """What installed packages offer in a group, such as `trunkline.objectives`; none of it is loaded."""
    return tuple(Plugin(entry.name, entry) for entry in entry_points(group=group))


def load(plugin: Plugin, what: str) -> Any:
    """What an entry point names.

    Args:
        plugin: the entry point.
        what: the sort of thing, for messages.

    Raises:
        UserError: the package was made for another version of trunkline, or cannot be imported.
    """
    told = f"{what} {plugin.name!r} of {plugin.package} ({plugin.entry.value})"
    if (wanted := _other_version(plugin.entry.dist)) is not None:
        raise UserError(
            f"{told} was made for trunkline {wanted}, this is {version('trunkline')}; upgrade {plugin.package}, or "
            "uninstall it"
        )
    try:
        return plugin.entry.load()
    except UserError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{told} cannot be imported: {why}; upgrade or uninstall {plugin.package}") from error


def _other_version(found: Distribution | None) -> str | None:
    """The versions of trunkline that a package asks for, if this one is none of them."""
    for text in () if found is None else found.requires or ():
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.name == "trunkline" and not wanted.specifier.contains(version("trunkline"), prereleases=True):
            return str(wanted.specifier)
    return None
