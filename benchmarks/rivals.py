"""The contestants of `census.py` and `wide.py`: each is given the same rows and trains the same network on them.

The network: an embedding of width 8 for each categorical column beside the numbers, a bottom of 256-128 (or an MMoE
with experts of that shape and one linear gate a task), a tower of 64-1 for each task; binary cross-entropy, Adam at
0.001, batches in a new random order every epoch. What is left to a library's habit:

- torch-rechub normalises every hidden layer by batch, and has no switch for it.
- DeepCTR-Torch adds up a batch's losses where the others take the mean; its last layers' bias stands in its own module.
- trunkline looks for losses and parameters that are not numbers, and writes its history.

Both rivals run as their examples run them, at their cheapest: no validation, no metric, no file, no progress bar, no
penalty on weights, no worker process, and each gets its rows in the types that it reads fastest.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.assembly.balance import build_objective
from trunkline.assembly.checks import check_config
from trunkline.assembly.network import build_network
from trunkline.assembly.optimizers import build_optimizers
from trunkline.callbacks import Callback, Training
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.nn.inputs import Inputs
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import History
from trunkline.tables import Batch, Batches, Store
from trunkline.training.callbacks.history_lines import HistoryLines
from trunkline.training.checkpoint import Checkpoint, Progress
from trunkline.training.loop import Loop
from trunkline.training.tracking import Tracking

WIDTH, HIDDEN, TOWER, LR, BATCH = 8, (256, 128), (64,), 0.001, 2048
HABITS = 0.02
"""Share by which a library's habits may change the number of parameters beside the embeddings."""


@dataclass(frozen=True)
class Rows:
    """Prepared rows.

    Attributes:
        sizes: embedding rows of each categorical column.
        ids: `[N, C]` int32, below the column's size.
        numbers: `[N, M]` float32.
        labels: `[N, T]` float32, 0 or 1.
        tasks: their names.
    """

    sizes: tuple[int, ...]
    ids: Tensor
    numbers: Tensor
    labels: Tensor
    tasks: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        """What the bottom reads."""
        return WIDTH * len(self.sizes) + self.numbers.shape[1]

    def first(self, count: int) -> "Rows":
        return replace(self, ids=self.ids[:count], numbers=self.numbers[:count], labels=self.labels[:count])


class Contestant(NamedTuple):
    """A training under way.

    Attributes:
        rows: what it trains on.
        train: trains one epoch over them.
        estimate: the tasks' probabilities `[N, T]` for some rows.
        parameters: how many numbers it learns.
        keeps: what has to live as long.
    """

    rows: Rows
    train: Callable[[], object]
    estimate: Callable[[Rows], Tensor]
    parameters: int
    keeps: object = None


class Absent(Exception):
    """A contestant that cannot be had here, and why."""


def enter(
    rows: Rows,
    experts: int,
    model: nn.Module,
    train: Callable[[], object],
    estimate: Callable[[Rows], Tensor],
    keeps: object = None,
) -> Contestant:
    """The contestant, unless its network is another than the one all are to train."""
    parameters = sum(parameter.numel() for parameter in model.parameters())
    body = pairwise((rows.width, *HIDDEN))
    tower = pairwise((HIDDEN[-1], *TOWER, 1))
    dense = max(experts, 1) * sum((wide + 1) * narrow for wide, narrow in body)
    dense += len(rows.tasks) * (experts * rows.width + sum((wide + 1) * narrow for wide, narrow in tower))
    found = parameters - WIDTH * sum(rows.sizes)
    if abs(found / dense - 1) > HABITS:
        raise Absent(f"not the same network: {found:,} parameters beside the embeddings, not about {dense:,}")
    return Contestant(rows, train, estimate, parameters, keeps)


@contextmanager
def silence() -> Iterator[None]:
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def torch_rechub(rows: Rows, *, experts: int = 0, fused: bool = False) -> Contestant:
    """Its trainer over its data generator, as its `run_census.py` does; an epoch is `MTLTrainer.train_one_epoch`.

    Left out are what its `fit` does after each epoch: validation and the copy of the best weights. Columns are numpy
    arrays: its loader, which collates row by row, takes over three times as long over tensors.
    """
    try:
        from torch_rechub.basic.features import DenseFeature, SparseFeature
        from torch_rechub.models.multi_task import MMOE, SharedBottom
        from torch_rechub.trainers import MTLTrainer
        from torch_rechub.utils.data import DataGenerator
    except ImportError as error:
        raise Absent(f"{error}; pip install -r benchmarks/requirements.txt") from None

    def columns(rows: Rows) -> dict[str, Tensor]:
        ids = {f"c{i}": column.contiguous() for i, column in enumerate(rows.ids.unbind(1))}
        return ids | {f"n{i}": column.contiguous() for i, column in enumerate(rows.numbers.unbind(1))}

    features = [SparseFeature(f"c{i}", size, embed_dim=WIDTH) for i, size in enumerate(rows.sizes)]
    features += [DenseFeature(f"n{i}") for i in range(rows.numbers.shape[1])]
    kinds, hidden = ["classification"] * len(rows.tasks), {"dims": list(HIDDEN)}
    towers = [{"dims": list(TOWER)} for _ in rows.tasks]
    model = MMOE(features, kinds, experts, hidden, towers) if experts else SharedBottom(features, kinds, hidden, towers)
    x = {name: column.numpy() for name, column in columns(rows).items()}
    y = rows.labels.to(torch.int64).numpy()
    loader, _, _ = DataGenerator(x, y).generate_dataloader(
        x_val=x, y_val=y, x_test=x, y_test=y, batch_size=BATCH, num_workers=0
    )
    settings = {"lr": LR, "weight_decay": 0.0} | ({"fused": True} if fused else {})
    trainer = MTLTrainer(model, kinds, optimizer_params=settings, n_epoch=1, device="cpu")

    def train() -> None:
        with silence():
            trainer.train_one_epoch(loader)

    def estimate(some: Rows) -> Tensor:
        model.eval()
        return model(columns(some))

    return enter(rows, experts, model, train, estimate)


def deepctr_torch(rows: Rows, *, experts: int = 0, fused: bool = False, penalty: float = 0.0) -> Contestant:
    """Its `fit` with `verbose=0`, as its `run_multitask_learning.py` does.

    Columns come as one array, into which it would join them first, of float32, to which it casts every batch of ids
    anyway (exact below 2**24). The penalty on embeddings, by
    default 1e-5 times the squares of all tables in every step, is off, since nobody else has one; so is its initial
    scale of 1e-4, from which embeddings hardly learn. Gates are linear.
    """
    try:
        before = set(threading.enumerate())
        # On import it asks the network for its newest version, on a thread that would be measured along.
        with silence(), mock.patch("requests.get", side_effect=OSError):
            from deepctr_torch.inputs import DenseFeat, SparseFeat
            from deepctr_torch.models.multitask import MMOE, SharedBottom

            for thread in set(threading.enumerate()) - before:
                thread.join()
    except ImportError as error:
        raise Absent(f"{error}; pip install -r benchmarks/requirements.txt") from None

    features = [SparseFeat(f"c{i}", size, embedding_dim=WIDTH) for i, size in enumerate(rows.sizes)]
    features += [DenseFeat(f"n{i}", 1) for i in range(rows.numbers.shape[1])]
    common = {
        "tower_dnn_hidden_units": TOWER,
        "l2_reg_embedding": penalty,
        "init_std": 0.05,
        "task_types": ["binary"] * len(rows.tasks),
        "task_names": list(rows.tasks),
        "device": "cpu",
    }
    if experts:
        model = MMOE(features, num_experts=experts, expert_dnn_hidden_units=HIDDEN, gate_dnn_hidden_units=(), **common)
    else:
        model = SharedBottom(features, bottom_dnn_hidden_units=HIDDEN, **common)
    adam = torch.optim.Adam(model.parameters(), lr=LR, fused=True) if fused else "adam"
    model.compile(adam, loss=["binary_crossentropy"] * len(rows.tasks), metrics=[])
    y = rows.labels.numpy()

    def columns(some: Rows) -> list[np.ndarray]:
        return [torch.cat([some.ids.float(), some.numbers], dim=1).numpy()]

    x = columns(rows)

    def train() -> None:
        with silence():
            model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)

    def estimate(some: Rows) -> Tensor:
        return torch.from_numpy(model.predict(columns(some), BATCH))

    return enter(rows, experts, model, train, estimate)


def mlp(width: int, *layers: int) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for following in layers:
        parts += [nn.Linear(width, following), nn.ReLU()]
        width = following
    return parts


class ByHand(nn.Module):
    """What one writes without a library: `nn.Embedding` a column, a module an expert, a module a tower."""

    def __init__(self, rows: Rows, experts: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(size, WIDTH) for size in rows.sizes)
        self.experts = nn.ModuleList(nn.Sequential(*mlp(rows.width, *HIDDEN)) for _ in range(experts or 1))
        self.gates = nn.ModuleList(nn.Linear(rows.width, experts, bias=False) for _ in rows.tasks if experts)
        self.towers = nn.ModuleList(
            nn.Sequential(*mlp(HIDDEN[-1], *TOWER), nn.Linear(TOWER[-1], 1)) for _ in rows.tasks
        )

    def forward(self, ids: Tensor, numbers: Tensor) -> list[Tensor]:
        x = torch.cat([*(table(ids[:, i]) for i, table in enumerate(self.tables)), numbers], dim=1)
        if not self.gates:
            shared = self.experts[0](x)
            return [tower(shared)[:, 0] for tower in self.towers]
        experts = torch.stack([expert(x) for expert in self.experts], dim=1)
        mixed = [torch.einsum("ne,neh->nh", gate(x).softmax(1), experts) for gate in self.gates]
        return [tower(part)[:, 0] for tower, part in zip(self.towers, mixed, strict=True)]


def by_hand(rows: Rows, *, experts: int = 0) -> Contestant:
    """A plain PyTorch loop: tensors in memory, a permutation an epoch, torch's Adam as it is by default."""
    net = ByHand(rows, experts)
    optimizer = torch.optim.Adam(net.parameters(), lr=LR)

    def train() -> None:
        for chosen in torch.randperm(len(rows)).split(BATCH):
            raws, labels = net(rows.ids[chosen], rows.numbers[chosen]), rows.labels[chosen]
            losses = [F.binary_cross_entropy_with_logits(raw, labels[:, t]) for t, raw in enumerate(raws)]
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            optimizer.step()

    def estimate(some: Rows) -> Tensor:
        return torch.stack(net(some.ids, some.numbers), dim=1).sigmoid()

    return enter(rows, experts, net, train, estimate)


class BestByHand(nn.Module):
    """One gather from one table, one product for all gates, one to mix the experts.

    The experts stay apart: on a CPU one product for all of them takes no less than theirs one after another.
    """

    def __init__(self, rows: Rows, experts: int, sparse: bool) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(rows.sizes), WIDTH, sparse=sparse)
        self.experts = nn.ModuleList(nn.Sequential(*mlp(rows.width, *HIDDEN)) for _ in range(experts or 1))
        self.gates = nn.Linear(rows.width, len(rows.tasks) * experts, bias=False) if experts else None
        self.towers = nn.ModuleList(
            nn.Sequential(*mlp(HIDDEN[-1], *TOWER), nn.Linear(TOWER[-1], 1)) for _ in rows.tasks
        )

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        x = torch.cat([self.table(ids).flatten(1), numbers], dim=1)
        if self.gates is None:
            shared = self.experts[0](x)
            return torch.cat([tower(shared) for tower in self.towers], dim=1)
        experts = torch.stack([expert(x) for expert in self.experts], dim=1)
        gates = self.gates(x).view(len(x), len(self.towers), -1).softmax(2)
        mixed = torch.bmm(gates, experts).unbind(1)
        return torch.cat([tower(part) for tower, part in zip(self.towers, mixed, strict=True)], dim=1)


def best_by_hand(rows: Rows, *, experts: int = 0, sparse: bool = False) -> Contestant:
    """The quickest loop that we can write: ids that are rows of one table beforehand, one loss, fused Adam.

    With `sparse`, row-sparse gradients and torch's SparseAdam for the table.
    """
    net = BestByHand(rows, experts, sparse)
    dense = [parameter for parameter in net.parameters() if not sparse or parameter is not net.table.weight]
    optimizers = [torch.optim.Adam(dense, lr=LR, fused=True)]
    if sparse:
        optimizers.append(torch.optim.SparseAdam([net.table.weight], lr=LR))
    starts = torch.tensor([0, *rows.sizes[:-1]]).cumsum(0).to(rows.ids.dtype)
    ids = rows.ids + starts

    def train() -> None:
        for chosen in torch.randperm(len(rows)).split(BATCH):
            raws = net(ids[chosen], rows.numbers[chosen])
            loss = F.binary_cross_entropy_with_logits(raws, rows.labels[chosen]) * len(rows.tasks)
            net.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()

    def estimate(some: Rows) -> Tensor:
        return net(some.ids + starts, some.numbers).sigmoid()

    return enter(rows, experts, net, train, estimate)


class TurnEnds(Exception):
    """Raised when an epoch is over; the next call of the same loop goes on from there."""


class EndOfTurn(Callback):
    """Ends a turn where an epoch ends."""

    def on_checkpoint(self, loop: Training) -> None:
        raise TurnEnds


def trunkline(
    rows: Rows,
    *,
    experts: int = 0,
    objective: str = "sum",
    norm: str = "none",
    compiled: bool = False,
    in_full: bool = True,
) -> Contestant:
    """The loop that `trunkline.fit` runs, over a store of these rows, with its history but without its checkpoints.

    Args:
        rows: what to train on.
        experts: of an MMoE; 0 for a shared bottom.
        objective: what merges the losses; `fit` takes `uncertainty` unless told otherwise.
        norm: `batch` makes the network that torch-rechub always makes.
        compiled: under `training.compile`.
        in_full: run the whole loop; otherwise its `step` alone, without what it does once an epoch.
    """
    sharing = {"kind": "mmoe", "experts": experts} if experts else {"kind": "shared_bottom"}
    described = {
        "tasks": dict.fromkeys(rows.tasks, "binary"),
        "network": {"sharing": {**sharing, "hidden": list(HIDDEN)}, "towers": {"hidden": list(TOWER)}, "norm": norm},
        "balance": {"objective": objective},
        "optimizer": {"name": "adam", "lr": LR},
        "training": {"batch_size": BATCH, "device": "cpu", "patience": None, **({"compile": True} if compiled else {})},
    }
    try:
        config = Config.make(described)
        tasks = check_config(config)
    except UserError as error:
        raise Absent(str(error)) from None
    c = config.training
    widths = (WIDTH,) * len(rows.sizes)
    network = build_network(config, tasks, Inputs(rows=rows.sizes, widths=widths, numbers=rows.numbers.shape[1]))
    merge = build_objective(config.balance, tasks)
    optimizers = build_optimizers(config.optimizer, network, merge)
    labels = dict(zip(rows.tasks, rows.labels.t().contiguous(), strict=True))
    folder = TemporaryDirectory()
    loop = Loop(
        network=network,
        objective=merge,
        state=Checkpoint(network, merge, optimizers, torch.amp.GradScaler("cpu", enabled=False), Progress()),
        train=Batches(store=Store.of(Batch(rows.ids, rows.numbers, labels, {})), size=c.batch_size, seed=c.seed),
        valid=None,
        epochs=sys.maxsize,
        device=torch.device("cpu"),
        amp=c.amp,
        compile=c.compile,
        log_every=c.log_every,
        log_gradients=c.log_gradients,
        callbacks=[
            HistoryLines(History(Path(folder.name) / "history.jsonl"), Tracking((), RunFolder(Path(folder.name)))),
            EndOfTurn(),
        ],
    )

    def train() -> None:
        if in_full:
            with suppress(TurnEnds):
                loop()
            return
        p = loop.state.progress
        network.train()
        for batch in loop.train.shuffled(p.epoch, then=loop.look_ahead):
            loop.step(batch)
            p.step += 1
        p.epoch += 1

    def estimate(some: Rows) -> Tensor:
        network.eval()
        raws = network(some.ids, some.numbers)
        return torch.cat([raws[task] for task in some.tasks], dim=1).sigmoid()

    return enter(rows, experts, network, train, estimate, folder)
