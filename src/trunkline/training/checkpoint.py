"""Checkpoints: network, balancer, optimiser, generators and counters, without pickle."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, final

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

from trunkline.callbacks.base import Callback
from trunkline.errors import UserError
from trunkline.optim.rowwise import RowWise
from trunkline.random_state import random_state, set_random_state
from trunkline.runs.tensors import load_into, read_tensors, write_tensors


@final
@dataclass
class Progress:
    """Counters of a training.

    Attributes:
        epoch: the epoch under way, from 0.
        batch: batches of it already done.
        step: steps done in all.
        best_score: the best validation score so far.
        best_epoch: the epoch that had it, from 0.
        waited: epochs since.
        rows: rows trained on.
        seconds: spent in steps, validation left out.
        sums: of each task's losses and active steps since the last line of the history.
        bad_batches: that were left out.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_score: float | None = None
    best_epoch: int | None = None
    waited: int = 0
    rows: int = 0
    seconds: float = 0.0
    sums: list[list[float]] | None = None
    bad_batches: int = 0

    def check(self, *, tasks: int) -> None:
        """Refuse counters that no training of so many tasks has had.

        Raises:
            ValueError: there is one.
        """
        counts = (self.epoch, self.batch, self.step, self.best_epoch or 0, self.waited, self.rows, self.bad_batches)
        if min(counts) < 0 or max(counts) >= 1 << 62 or not 0 <= self.seconds < math.inf:
            raise ValueError(f"counters {counts} and {self.seconds} s: none is below 0 or without end")
        if self.sums is not None and [len(sums) for sums in self.sums] != [tasks, tasks]:
            raise ValueError(f"sums of {[len(sums) for sums in self.sums]} losses; there are {tasks} tasks")
        if any(not abs(one) < torch.finfo(torch.float32).max for sums in self.sums or () for one in sums):
            raise ValueError("sums of losses that are not finite")


_PROGRESS = TypeAdapter(Progress)


@final
@dataclass(frozen=True)
class Checkpoint:
    """Everything that a training changes.

    Attributes:
        network: the network.
        objective: the objective balancer.
        optimizers: made from both; each parameter is in one of them.
        scaler: of half-precision gradients.
        progress: the counters.
        callbacks: those whose state is kept, by name.
    """

    network: nn.Module
    objective: nn.Module
    optimizers: Sequence[Optimizer]
    scaler: torch.amp.GradScaler
    progress: Progress
    callbacks: Mapping[str, Callback] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write one file, whole or not at all."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"random.{k}": v for k, v in random_state().items()}
        for i, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                kept = {f"optimizer{i}.{index}.{k}": torch.as_tensor(v) for k, v in state.items() if v is not None}
                tensors |= kept
        facts: dict[str, Any] = {"progress": asdict(self.progress), "scaler": self.scaler.state_dict()}
        states = {name: dict(state) for name, one in self.callbacks.items() if (state := one.state_dict())}
        write_tensors(path, tensors, facts | ({"callbacks": states} if states else {}))

    def load(self, path: Path) -> None:
        """Put everything back as it was saved.

        Raises:
            UserError: the file is missing, damaged, or of another config.
        """
        tensors, facts = read_tensors(path)
        load_into(self.network, _under("network", tensors), name=str(path))
        load_into(self.objective, _under("objective", tensors), name=str(path))
        try:
            for i, optimizer in enumerate(self.optimizers):
                state: dict[int, dict[str, Tensor]] = {}
                for key, tensor in _under(f"optimizer{i}", tensors).items():
                    index, _, name = key.partition(".")
                    state.setdefault(int(index), {})[name] = tensor
                _check_state(optimizer, state)
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": state, "param_groups": groups})
            # a training that was begun by an earlier version has fewer counters
            read = _PROGRESS.validate_json(json.dumps(facts["progress"]), strict=True)
            read.check(tasks=len(getattr(self.network, "tasks", read.sums[0] if read.sums else ())))
            for one in fields(Progress):
                setattr(self.progress, one.name, getattr(read, one.name))
            if facts["scaler"]:
                self.scaler.load_state_dict(facts["scaler"])
            set_random_state(_under("random", tensors))
            for name, kept in facts.get("callbacks", {}).items():
                if name in self.callbacks:
                    self.callbacks[name].load_state_dict(dict(kept))
        except UserError:
            raise
        except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
            raise UserError(f"{path} does not fit this training: {' '.join(str(error).split())}") from None


def _check_state(optimizer: Optimizer, state: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Refuse a state that the optimiser cannot have made of its parameters.

    Raises:
        ValueError: names, shapes or types are others.
    """
    groups = [(parameter, group) for group in optimizer.param_groups for parameter in group["params"]]
    for index, kept in state.items():
        parameter, group = groups[index]
        shape, scalar = list(parameter.shape), list[int]()
        match optimizer:
            case RowWise():
                wanted = {"rows": [len(parameter), optimizer.extra(parameter.shape[1], group)], "step": scalar}
            case SGD():
                wanted = {"momentum_buffer": shape}
            case _:
                wanted = {"step": scalar, "exp_avg": shape, "exp_avg_sq": shape}
        found = {name: list(tensor.shape) for name, tensor in kept.items()}
        if found != wanted or any(tensor.dtype != torch.float32 for tensor in kept.values()):
            raise ValueError(f"the optimiser's state of parameter {index} is {found}, not {wanted} in float32")


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(prefix + ".")}
