"""Memory check: whether a network fits into this machine, found out before any of it is allocated."""

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch
from torch.overrides import TorchFunctionMode

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.inputs import Inputs
from trunkline.random_state import isolated_random

Build = Callable[[Config, Inputs], Network]
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much memory a container has."""


def check_memory(config: Config, inputs: Inputs, build: Build) -> Network:
    """Refuse a network that no memory can be had for; gives it in shape, without memory for its parameters.

    A system that promises more memory than it has stops a process without a word when it is used, so parameters are
    counted on a device that holds none.

    Args:
        config: the whole config.
        inputs: of the network.
        build: makes the network.

    Raises:
        UserError: its parameters, their gradients and what the optimiser keeps of them are more than all memory.
    """
    network = _in_shape(config, inputs, build)
    wanted, there = _bytes(config, network), memory()
    if network is not None and wanted <= there:
        return network
    # The setting to change is the one without which the network would be smallest.
    least, blame = math.inf, "network"
    for setting, smaller, fewer in _smaller(config, inputs):
        with suppress(UserError):  # what a part cannot be without
            found = _bytes(smaller, _in_shape(smaller, fewer, build))
            least, blame = min((least, blame), (found, setting))
    raise UserError(
        f"{blame}: the network wants {_shown(wanted)} for its parameters, their gradients and what "
        f"{config.optimizer.name} keeps of each, and this machine has {there / 1e9:,.1f} GB; make it smaller"
    )


def memory() -> int:
    """Bytes of this machine's memory, or of what its container may use of it; no bound where that is not known."""
    found = [2**63]
    with suppress(ValueError, OSError, AttributeError):  # Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in LIMITS:
        with suppress(ValueError, OSError):  # not there, or "max"
            found.append(int(Path(limit).read_text()))
    return min(found)


def in_shape() -> AbstractContextManager[object]:
    """Inside, a network is built without memory for its parameters, and no random number is drawn."""
    stack = ExitStack()
    for one in (isolated_random(None), torch.device("meta"), NumbersAtHand()):
        stack.enter_context(one)
    return stack


def _in_shape(config: Config, inputs: Inputs, build: Build) -> Network | None:
    """The network without memory; None if its size is too much to be counted."""
    try:
        with in_shape():
            return build(config, inputs)
    except UserError:
        raise
    except (RuntimeError, TypeError, OverflowError) as error:
        if "overflow" not in str(error).lower():
            raise
        return None


def _bytes(config: Config, network: Network | None) -> float:
    """What the training of a network takes at least; infinite if it is too much to be counted."""
    if network is None:
        return math.inf
    kept = {"adamw": 2, "adam": 2, "sgd": 1}[config.optimizer.name]
    sparse = {id(table) for table in network.embedding.row_sparse()}
    return sum(p.numel() * p.element_size() * (1 if id(p) in sparse else 2 + kept) for p in network.parameters())


def _smaller(config: Config, inputs: Inputs) -> Iterator[tuple[str, Config, Inputs]]:
    """Each setting that can make a network large, with its value; the config and the inputs with the least instead."""
    for path, value in _sizes(config.model_dump(mode="json")["network"], "network"):
        with suppress(UserError):
            least = [2] * len(value) if isinstance(value, list) else 2
            yield f"{path} {value}", Config.make(config, overrides={path: least}), inputs
    for i, name in enumerate(inputs.names):
        widths, rows = list(inputs.widths), list(inputs.rows)
        widths[i], rows[i] = 2, 2
        yield f"features.{name}.dim {inputs.widths[i]}", config, replace(inputs, widths=tuple(widths))
        yield f"features.{name}, {inputs.rows[i]:,} rows", config, replace(inputs, rows=tuple(rows))


def _sizes(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _sizes(value, f"{path}.{key}")
        elif type(value) is int or (isinstance(value, list) and value and all(type(one) is int for one in value)):
            yield f"{path}.{key}", value


def _shown(count: float) -> str:
    return f"at least {count / 1e9:,.1f} GB of memory" if math.isfinite(count) else "more memory than can be counted"


@final
class NumbersAtHand(TorchFunctionMode):
    """Inside, tensors made of given numbers have them, whatever device others are made on: they are few."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(({"device": "cpu"} if func is torch.tensor else {}) | (kwargs or {})))
