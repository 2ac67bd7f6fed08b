"""Where a training stands: network, balancer, optimiser, generators and counters, without pickle."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trunkline.errors import UserError
from trunkline.training.files import load_into, read_tensors, write_tensors


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
    """

    network: nn.Module
    objective: nn.Module
    optimizers: Sequence[Optimizer]
    scaler: torch.amp.GradScaler
    progress: Progress

    def save(self, path: Path) -> None:
        """Write one file, whole or not at all."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"objective.{k}": v for k, v in self.objective.state_dict().items()}
        tensors |= {f"random.{k}": v for k, v in random_state().items()}
        for i, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                kept = {f"optimizer{i}.{index}.{k}": torch.as_tensor(v) for k, v in state.items() if v is not None}
                tensors |= kept
        write_tensors(path, tensors, {"progress": asdict(self.progress), "scaler": self.scaler.state_dict()})

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
                groups = optimizer.state_dict()["param_groups"]
                optimizer.load_state_dict({"state": state, "param_groups": groups})
            for field in fields(Progress):
                setattr(self.progress, field.name, facts["progress"][field.name])
        except (KeyError, ValueError) as error:
            raise UserError(f"{path} does not fit this training: {error}") from None
        if facts["scaler"]:
            self.scaler.load_state_dict(facts["scaler"])
        set_random_state(_under("random", tensors))


@final
class isolated_random:  # used as a verb: `with isolated_random(seed):`
    """Inside, torch's generators start from a seed; outside, they never notice.

    Args:
        seed: what they start from; None leaves them as they are inside.
    """

    def __init__(self, seed: int | None) -> None:
        self.seed = seed

    def __enter__(self) -> Self:
        self._before = random_state()
        if self.seed is not None:
            torch.manual_seed(self.seed)
        return self

    def __exit__(self, *_: Any) -> None:
        set_random_state(self._before)


def random_state() -> dict[str, Tensor]:
    """The state of torch's generators, by device."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(prefix + ".")}
