"""What the exact Gramian over shared parameters costs when embedding tables are long.

Network: 26 categorical features of width 8 in one table of `--rows` rows, trunk 256-128, four towers 64-1, batch 2048.
The plain step sums the losses; the exact step balances them with UPGrad at the parameters. Both take row-sparse
gradients: SparseAdam for the table, fused Adam for the rest. torchjd's `mtl_backward` forms the dense Jacobian, at the
better of its two settings for T = 4 (all rows at once, or one after another), and steps with fused Adam. Each length of
table runs in a process of its own, so that peak memory is its own; within it all steps take turns.

Run: python benchmarks/exact.py [--rows 1000000 12800000 50000000] [--torchjd-at 12800000] [--rounds 7]
Prints a table, and as the last line one JSON object.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from goals import at_most, finish
from torch import Tensor
from torch.nn import functional as F

from trunkline import Embedding, Fork, Network, Towers
from trunkline.balance import UPGrad
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary

BATCH, FEATURES, WIDTH, TASKS = 2048, 26, 8, 4
LIMIT = 3


def network(rows: int, *, exact: bool, sparse: bool) -> Network:
    torch.manual_seed(0)
    embedding = Embedding([rows // FEATURES] * FEATURES, [WIDTH] * FEATURES, 0, sparse_above=0 if sparse else None)
    tasks = [Binary(name=f"t{i}") for i in range(TASKS)]
    fork = Fork(TASKS, UPGrad() if exact else None)
    sharing = SharedBottom(embedding.out_features, [256, 128])
    return Network(embedding, sharing, fork, Towers(tasks, 128, [64]), at="parameters" if exact else "fork")


def batch(rows: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    ids = torch.randint(0, rows // FEATURES, (BATCH, FEATURES), generator=random)
    return ids, torch.empty(BATCH, 0), torch.randint(0, 2, (BATCH, TASKS), generator=random).float()


def losses(raws: dict[str, Tensor], labels: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(torch.cat(list(raws.values()), 1), labels, reduction="none").mean(0)


def our_step(net: Network, rows: int) -> Callable[[], None]:
    ids, numbers, labels = batch(rows)
    tables = torch.optim.SparseAdam(list(net.embedding.parameters()))
    dense = torch.optim.Adam([*net.sharing.parameters(), *net.towers.parameters()], fused=True)

    def step() -> None:
        tables.zero_grad()
        dense.zero_grad()
        losses(net(ids, numbers), labels).sum().backward()
        tables.step()
        dense.step()

    return step


def torchjd_step(rows: int, chunk: int | None) -> Callable[[], None]:
    from torchjd.aggregation import UPGrad as Theirs
    from torchjd.autojac import jac_to_grad, mtl_backward

    net, aggregator = network(rows, exact=False, sparse=False), Theirs()
    ids, numbers, labels = batch(rows)
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    shared = [*net.embedding.parameters(), *net.sharing.parameters()]

    def step() -> None:
        optimizer.zero_grad()
        features = net.sharing.shared(net.embedding(ids, numbers), ids)[0]
        raws = net.towers([features] * TASKS).values()
        # its backward wants a graph of its own for each task
        found = [
            F.binary_cross_entropy_with_logits(raw[:, 0], label)
            for raw, label in zip(raws, labels.unbind(1), strict=True)
        ]
        mtl_backward(found, features=features, shared_params=shared, parallel_chunk_size=chunk)
        jac_to_grad(shared, aggregator, optimize_gramian_computation=chunk == 1)
        optimizer.step()

    return step


def times(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    least = dict.fromkeys(steps, float("inf"))
    for number in range(rounds + 1):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if number:
                least[name] = min(least[name], (time.perf_counter() - began) * 1e3)
    return least


def one_length(rows: int, rounds: int, with_torchjd: bool) -> dict[str, float]:
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # noqa: E731
    plain = our_step(network(rows, exact=False, sparse=True), rows)
    plain()
    exact = our_step(network(rows, exact=True, sparse=True), rows)
    exact()  # makes the moments, which are as long as the table
    before = peak()
    found = times({"plain": plain, "exact": exact}, rounds)
    found["extra_mib"] = peak() - before
    if with_torchjd:
        for chunk in (None, 1):
            name = f"torchjd_{'at_once' if chunk is None else 'one_by_one'}"
            found[name] = times({name: torchjd_step(rows, chunk)}, max(2, rounds // 3))[name]
        again = times({"plain": plain, "exact": exact}, rounds)
        found |= {name: min(found[name], again[name]) for name in again}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 12_800_000, 50_000_000])
    parser.add_argument("--torchjd-at", type=int, default=12_800_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        print(json.dumps(one_length(asked.child, asked.rounds, asked.child == asked.torchjd_at)))
        return
    figures = {}
    for rows in asked.rows:
        command = [sys.executable, __file__, "--child", str(rows), "--rounds", str(asked.rounds)]
        command += ["--torchjd-at", str(asked.torchjd_at)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = figures[str(rows)] = json.loads(done.stdout.splitlines()[-1])
        parts = "  ".join(f"{name} {value:.1f}" for name, value in found.items())
        print(f"{rows:>11,} rows: {parts}  exact/plain {found['exact'] / found['plain']:.2f}")
    goals = [
        at_most(f"a step at {int(rows):,} rows, exact / plain", took["exact"] / took["plain"], LIMIT)
        for rows, took in figures.items()
    ]
    finish("exact", goals, least_ms_and_mib=figures)


if __name__ == "__main__":
    main()
