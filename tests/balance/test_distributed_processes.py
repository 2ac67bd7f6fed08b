"""Two processes under DistributedDataParallel train what one trains on both their batches."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from trunkline.balance import (
    DWA,
    FAMO,
    STCH,
    Equal,
    Geometric,
    GradDrop,
    GradNorm,
    NashMTL,
    ObjectiveBalancer,
    PCGrad,
    Sum,
    Uncertainty,
    UPGrad,
)
from trunkline.balance.fork import Fork
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary, Multiclass, Regression
from trunkline.towers import Towers

pytestmark = pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo")

TASKS = [Binary(name="click"), Multiclass(name="kind", classes=3), Regression(name="dwell", reads=("click",))]
ROWS, STEPS, PROCESSES = 16, 50, 2


@dataclass(frozen=True)
class Method:
    """How losses and gradients are balanced, and what two processes then have in common with one.

    `grouped`: whether the fork is told of the other process.
    `alone`: whether one process on both batches arrives at the same parameters.
    `missing`: a task that only the first process has labels of.
    `above`: how many rows a feature may have before its table is row-sparse.
    """

    objective: Callable[[int], ObjectiveBalancer] = Sum
    gradients: Callable[[], nn.Module | None] = lambda: None
    at: str = "fork"
    every: int = 1
    grouped: bool = True
    alone: bool = True
    missing: str = ""
    above: int | None = None


METHODS: dict[str, Method] = {
    "sum": Method(),
    "uncertainty": Method(Uncertainty),
    "dwa": Method(lambda tasks: DWA(tasks, window=5)),
    "gradnorm": Method(GradNorm),
    "pcgrad": Method(gradients=PCGrad),
    "upgrad": Method(gradients=UPGrad),
    "pcgrad, every 3": Method(gradients=PCGrad, every=3),
    "uncertainty and pcgrad": Method(Uncertainty, PCGrad),
    "gradnorm and upgrad": Method(GradNorm, UPGrad),
    "row-sparse tables": Method(above=0),
    "pcgrad and row-sparse tables": Method(gradients=PCGrad, above=7),
    "pcgrad at the parameters": Method(gradients=PCGrad, at="parameters"),
    "pcgrad at the parameters, row-sparse": Method(gradients=PCGrad, at="parameters", above=0),
    "upgrad at the parameters, every 2": Method(gradients=UPGrad, at="parameters", every=2, above=7),
    "nash": Method(gradients=NashMTL),
    "famo": Method(FAMO),
    "famo and pcgrad": Method(FAMO, PCGrad),
    "geometric": Method(Geometric),
    "stch": Method(lambda tasks: STCH(tasks, warmup=5)),
    # It draws at coordinates of its own rows.
    "graddrop": Method(gradients=GradDrop, alone=False),
    # Means over each process's own observed rows: no mean over those of both.
    "pcgrad, a task on one process": Method(gradients=PCGrad, alone=False, missing="dwell"),
    "uncertainty, a task on one process": Method(Uncertainty, Equal, alone=False, missing="kind"),
    "pcgrad, without a group": Method(gradients=PCGrad, grouped=False, alone=False),
}


class Whole(nn.Module):
    """Network and objective as the one module that is trained."""

    def __init__(self, method: Method, group: dist.ProcessGroup | None = None) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            embedding = Embedding([9, 7], [3, 4], 3, scale=1.0, sparse_above=method.above)
            sharing = SharedBottom(embedding.out_features, [8, 6])
            towers = Towers(TASKS, 6, [4])
        fork = Fork(len(TASKS), method.gradients(), update_every=method.every, process_group=group)
        self.network = Network(embedding, sharing, fork, towers, at=method.at).double()
        self.objective = method.objective(len(TASKS)).double()
        fork.measure = "norms" in self.objective.observes

    def losses(self, rows: tuple[Tensor, Tensor, dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        ids, numbers, labels = rows
        return self.network.losses(self.network(ids, numbers), labels)

    def forward(self, rows: tuple[Tensor, Tensor, dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        losses, active = self.losses(rows)
        return self.objective(losses, active), active


def batch(step: int, part: slice, *, missing: str = "") -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(step % 7)
    ids = torch.stack([torch.randint(0, rows, (ROWS,), generator=generator) for rows in (9, 7)], 1)
    numbers = torch.randn(ROWS, 3, generator=generator, dtype=torch.float64)
    labels = {
        "click": (numbers[:, 0] + ids[:, 0] > 4).double(),
        "kind": (ids[:, 1] % 3).double(),
        "dwell": numbers[:, 1] * 2 - 3 * (numbers[:, 0] + ids[:, 0] > 4),
    }
    if missing and part.start:
        labels[missing][part] = torch.nan
    return ids[part], numbers[part], {name: label[part] for name, label in labels.items()}


def trained(method: Method, *, rank: int | None = None) -> dict[str, Tensor]:
    """State after the steps, as one of several processes or alone."""
    group = dist.new_group() if rank is not None and method.grouped else None
    whole = Whole(method, group)
    part = slice(0, ROWS) if rank is None else slice(rank * ROWS // PROCESSES, (rank + 1) * ROWS // PROCESSES)
    # Buffers are not copied from the first process: a state that parts is to be seen.
    model = whole if rank is None else DistributedDataParallel(whole, broadcast_buffers=False)
    optimizer = torch.optim.SGD(whole.parameters(), lr=0.05)
    first = None
    for step in range(STEPS):
        rows = batch(step, part, missing=method.missing)
        optimizer.zero_grad(set_to_none=True)
        objective, active = model(rows)
        objective.backward()
        optimizer.step()
        if whole.objective.observes:
            norms = whole.network.fork.gramian.diagonal().sqrt()
            with torch.no_grad():
                whole.objective.observe(active, losses=whole.losses(rows)[0], norms=norms)
        first = whole.network.fork.weights.clone() if first is None else first
    state = {name: value.detach().clone() for name, value in whole.state_dict().items()}
    return state | {"first weights": first, "last weights": whole.network.fork.weights}


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=PROCESSES)
    torch.save({name: trained(method, rank=rank) for name, method in METHODS.items()}, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    """What each process arrived at, by method."""
    folder: Path = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(_process, (str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


def parameters_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Everything but the fork's own state."""
    names = {name for name, _ in Whole(Method()).named_parameters()}
    return {name: value for name, value in state.items() if name in names or name.endswith("log_variance")}


OWN = {"objective.before", "objective.waiting"}
"""FAMO's memory of the batch that this process has just seen."""


@pytest.mark.parametrize("name", METHODS)
def test_processes_never_part(processes, name):
    one, other = (process[name] for process in processes)
    assert len(one) > 10
    for key, value in one.items():
        if key not in OWN and not (name.endswith("without a group") and key.endswith("weights")):
            assert torch.equal(value, other[key]), key


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.alone])
def test_two_processes_train_what_one_trains(processes, name):
    expected, found = trained(METHODS[name]), processes[0][name]
    start = {key: value.detach() for key, value in Whole(METHODS[name]).state_dict().items()}
    for key, value in parameters_of(expected).items():
        assert not torch.equal(value, start[key]), f"{key} did not move"
        torch.testing.assert_close(found[key], value, rtol=1e-6, atol=1e-8, msg=lambda m, key=key: f"{key}: {m}")
    torch.testing.assert_close(found["last weights"], expected["last weights"], rtol=1e-6, atol=1e-8)


def test_without_a_group_the_processes_weigh_differently(processes):
    """Each by its own half of the batch: neither is what one process would do."""
    one, other = (process["pcgrad, without a group"] for process in processes)
    assert not torch.allclose(one["first weights"], other["first weights"], rtol=1e-3)
    name = "network.sharing.trunk.layers.0.weight"
    assert not torch.allclose(one[name], trained(METHODS["pcgrad"])[name], rtol=1e-3)


@pytest.mark.parametrize(("name", "plain"), [("pcgrad", "sum"), ("famo", "sum"), ("graddrop", "sum"), ("dwa", "sum")])
def test_the_methods_change_what_is_trained(processes, name, plain):
    """Otherwise agreement would say nothing of them."""
    key = "network.sharing.trunk.layers.0.weight"
    assert not torch.allclose(processes[0][name][key], processes[0][plain][key], rtol=1e-3)
