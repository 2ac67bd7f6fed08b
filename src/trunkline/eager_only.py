"""`torch.compiler.disable` without loading the compiler for who never compiles.

`torch.compiler.disable` loads torch._dynamo, which takes as long as torch itself. Nothing can be compiled before that
module is there; so it is put around the functions the moment somebody else loads it, and not before.
"""

import sys
from collections.abc import Callable, Sequence
from functools import update_wrapper
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, Generic, ParamSpec, TypeVar, final

import torch

COMPILER: Final = "torch._dynamo"
P = ParamSpec("P")
R = TypeVar("R")


@final
class EagerOnly(Generic[P, R]):
    """A function that runs as it is, inside a compiled one too; a decorator.

    Args:
        run: the function.
    """

    def __init__(self, run: Callable[P, R]) -> None:
        update_wrapper(self, run)
        self.run = run
        _EVERY.append(self)
        if COMPILER in sys.modules:
            self.disable()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function gives."""
        return self.run(*args, **kwargs)

    def disable(self) -> None:
        """From now on the compiler, which is there, leaves the function alone."""
        self.run = torch.compiler.disable(self.run)  # type: ignore[no-untyped-call]  # torch's own


_EVERY: list[EagerOnly[..., Any]] = []


@final
class _AfterImport(MetaPathFinder, Loader):
    """Loads the compiler as it would be loaded anyway, and then lets it leave the functions alone; works once."""

    spec: ModuleSpec | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != COMPILER or self.spec is not None:
            return None
        sys.meta_path.remove(self)
        self.spec = find_spec(fullname)
        if self.spec is None or self.spec.loader is None:
            return None
        made = ModuleSpec(fullname, self, origin=self.spec.origin, is_package=True)
        made.submodule_search_locations = self.spec.submodule_search_locations
        made.has_location, made.cached = True, self.spec.cached
        return made

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        assert self.spec is not None
        assert self.spec.loader is not None
        module.__spec__, module.__loader__ = self.spec, self.spec.loader
        self.spec.loader.exec_module(module)
        for one in _EVERY:
            one.disable()


if COMPILER not in sys.modules:
    sys.meta_path.insert(0, _AfterImport())
