"""What the training loop costs beside a bare hand-written one: the same network, rows and batches, in turns.

The bare loop knows that no label is missing, writes its losses by hand, and keeps no history, no watch for losses that
are not numbers, no schedule and no checkpoint. Both see encoded tensors only. They take turns, an epoch each, so that
a machine whose speed drifts slows both.

Run: python benchmarks/loop_overhead.py [--rows 100000] [--batch 2048] [--rounds 7]
Prints a table, and as the last line one JSON object.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from goals import at_most, finish
from torch import Tensor
from torch.nn import functional as F

from trunkline import Embedding, Fork, Network, Subnets, Towers
from trunkline.balance import Uncertainty
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import History
from trunkline.sharing import SharedBottom
from trunkline.tables import Batch, Batches, Store
from trunkline.tasks import Binary
from trunkline.training.callbacks.checkpointing import Checkpointing
from trunkline.training.callbacks.history_lines import HistoryLines
from trunkline.training.checkpoint import Checkpoint, Progress
from trunkline.training.loop import Loop
from trunkline.training.tracking import Tracking

TASKS = ("income", "never_married", "college")
MOST = 1.15


def simulate(count: int) -> Batch:
    """Encoded rows of Census-Income's shape: 30 categorical and 8 numeric features, three binary labels."""
    random = np.random.default_rng(0)
    sizes = random.integers(4, 60, 30)
    ids = torch.from_numpy(random.integers(0, sizes, (count, 30)).astype(np.int32))
    numbers = torch.from_numpy(random.normal(size=(count, 8)).astype(np.float32))
    labels = {task: torch.from_numpy(random.integers(0, 2, count).astype(np.float32)) for task in TASKS}
    return Batch(ids, numbers, labels, {})


def network() -> tuple[Network, Uncertainty, torch.optim.Optimizer]:
    torch.manual_seed(0)
    tasks = [Binary(name=name) for name in TASKS]
    embedding = Embedding([64] * 30, [8] * 30, 8)
    net = Network(embedding, SharedBottom(embedding.out_features, [256, 128]), Fork(3), Towers(tasks, 128, [64]))
    objective = Uncertainty(3)
    subnets = Subnets([net, objective], {**net.parameters_by_subnet(), "balance": list(objective.parameters())})
    return net, objective, torch.optim.AdamW(subnets.groups(lr=0.001), fused=True)


def bare_epoch(rows: Batch, batch: int) -> Callable[[int], None]:
    net, _, optimizer = network()
    log_variance = torch.zeros(3, requires_grad=True)
    optimizer.param_groups[-1]["params"] = [log_variance]
    labels: Tensor = torch.stack([rows.labels[task] for task in TASKS], dim=1)

    def epoch(number: int) -> None:
        order = torch.from_numpy(np.random.default_rng((0, number)).permutation(len(rows)))
        for i in range(0, len(rows), batch):
            chosen = order[i : i + batch]
            optimizer.zero_grad()
            raws = net(rows.ids[chosen], rows.numbers[chosen])
            logits = torch.cat([raws[task] for task in TASKS], dim=1)
            losses = F.binary_cross_entropy_with_logits(logits, labels[chosen], reduction="none").mean(0)
            (torch.exp(-log_variance) * losses + 0.5 * log_variance).sum().backward()
            optimizer.step()

    return epoch


def our_epoch(rows: Batch, batch: int, folder: Path) -> Callable[[int], None]:
    net, objective, optimizer = network()
    state = Checkpoint(net, objective, [optimizer], torch.amp.GradScaler("cpu", enabled=False), Progress())
    history, tracking = History(folder / "history.jsonl"), Tracking((), RunFolder(folder))

    def epoch(number: int) -> None:
        Loop(
            network=net,
            objective=objective,
            state=state,
            train=Batches(store=Store.of(rows), size=batch),
            valid=None,
            epochs=number + 1,
            device=torch.device("cpu"),
            amp="none",
            compile=False,
            log_every=50,
            log_gradients=False,
            callbacks=[HistoryLines(history, tracking), Checkpointing(folder / "state.safetensors", minutes=None)],
        )()

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    rows = simulate(asked.rows)
    with TemporaryDirectory() as folder:
        loops = {"bare": bare_epoch(rows, asked.batch), "trunkline": our_epoch(rows, asked.batch, Path(folder))}
        wall: dict[str, list[float]] = {name: [] for name in loops}
        cpu: dict[str, list[float]] = {name: [] for name in loops}
        for number in range(asked.rounds + 1):
            for name, epoch in loops.items():
                began, began_cpu = time.perf_counter(), time.process_time()
                epoch(number)
                if number:  # the first round warms up
                    wall[name].append(time.perf_counter() - began)
                    cpu[name].append(time.process_time() - began_cpu)
    print(f"{asked.rows:,} rows, batch {asked.batch}, {asked.rounds} rounds, {torch.get_num_threads()} threads")
    for name in loops:
        print(f"{name:10} wall min {min(wall[name]):.3f} s, CPU min {min(cpu[name]):.3f} s an epoch")
    pairs = [ours / bare for ours, bare in zip(cpu["trunkline"], cpu["bare"], strict=True)]
    ratio = min(cpu["trunkline"]) / min(cpu["bare"])
    finish(
        "loop_overhead",
        [at_most("CPU, our loop / a bare one", ratio, MOST)],
        cpu_ratio_median_pair=round(float(np.median(pairs)), 4),
        wall_ratio_of_minima=round(min(wall["trunkline"]) / min(wall["bare"]), 4),
    )


if __name__ == "__main__":
    main()
