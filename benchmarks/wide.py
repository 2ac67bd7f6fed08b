"""What does a training step cost when embedding tables are long, beside torch-rechub, DeepCTR-Torch and dense Adam?

A simulated log: 26 columns of ids, 13 numbers, two binary tasks. The lengths of the columns fall by a constant factor
from 37 % of all rows to a handful, as in ad logs; ids follow a power law and lie scattered over the table. The network
and who runs it how: see `rivals.py`. One thread, batch 2048, in turns, in CPU time of the whole process.

By default one million embedding rows in all, trunkline beside both rivals and loops written by hand; limit 5 x either
rival. With `--rows`, trunkline alone over tables of these lengths, and at `--dense-at` rows a loop by hand with dense
fused Adam beside it. There the columns are equally long, and the power law is such that a batch holds equally many
distinct rows at every length, so that nothing but the length differs; counted are the steps, without the look over all
parameters that the loop takes once an epoch. Limits: a step with the longest tables 1.3 x one with the shortest, and
5 x faster than dense Adam. With 50 million rows it takes 5 GiB of memory.

Run: python benchmarks/wide.py [--steps 20] [--rounds 5] [--rivals-fused] [--rows 100000,50000000 [--dense-at 5000000]]
Prints a table, and as the last line one JSON object.
"""

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch
from goals import at_least, at_most, finish
from rivals import BATCH, Contestant, Rows, best_by_hand, by_hand, deepctr_torch, torch_rechub, trunkline
from turns import Limit, check, report, show, take_turns

COLUMNS, NUMBERS, TASKS = 26, 13, ("click", "buy")
ROWS, EXPONENT = 1_000_000, 1.05
RIVALS = ("torch-rechub", "DeepCTR-Torch", "by hand", "best by hand")
LIMITS = [
    Limit(ours, rival, 5.0)
    for ours in ("trunkline, sum", "trunkline, uncertainty")
    for rival in ("torch-rechub", "DeepCTR-Torch")
]
LONGEST_OVER_SHORTEST, DENSE_OVER_OURS = 1.3, 5.0


def falling(rows: int) -> tuple[int, ...]:
    """Lengths of the columns, `rows` in all."""
    shares = np.geomspace(1, 1e-5, COLUMNS)
    sizes = np.maximum(shares * rows / shares.sum(), 4).astype(int)
    sizes[0] += rows - sizes.sum()
    return tuple(sizes.tolist())


def power_law(random: np.random.Generator, size: int, exponent: float, count: int) -> np.ndarray:
    """Ranks below `size` whose frequency falls as rank**-exponent; an exponent other than 1."""
    top = size ** (1 - exponent) - 1
    ranks = (top * random.random(count) + 1) ** (1 / (1 - exponent)) - 1
    return np.minimum(ranks.astype(np.int64), size - 1)


def simulate(sizes: tuple[int, ...], exponent: float, count: int) -> Rows:
    random = np.random.default_rng(0)
    ids = np.empty((count, len(sizes)), dtype=np.int32)
    for i, size in enumerate(sizes):
        stride = next(stride for stride in range(int(size * 0.618) + 1, 2 * size + 2) if np.gcd(stride, size) == 1)
        ids[:, i] = power_law(random, size, exponent, count) * stride % size
    numbers = random.normal(size=(count, NUMBERS)).astype(np.float32)
    lean = numbers[:, : len(TASKS)] + (ids[:, -len(TASKS) :] % 3 - 1)
    labels = (lean + random.normal(size=lean.shape) > 1).astype(np.float32)
    return Rows(sizes, *map(torch.from_numpy, (ids, numbers, labels)), tasks=TASKS)


def distinct(rows: Rows) -> int:
    """Embedding rows that a batch looks up, each counted once; the mean over ten batches."""
    batches = [rows.ids[i : i + BATCH] for i in range(0, 10 * BATCH, BATCH) if i < len(rows)]
    return round(sum(len(column.unique()) for batch in batches for column in batch.unbind(1)) / len(batches))


def exponent_for(wanted: float, size: int) -> float:
    """The exponent at which a batch holds that many distinct rows of a column, by halving."""
    low, high = 1.001, 3.0
    for _ in range(20):
        middle = (low + high) / 2
        draws = [power_law(np.random.default_rng(seed), size, middle, BATCH) for seed in range(20)]
        found = sum(len(np.unique(draw)) for draw in draws) / len(draws)
        low, high = (middle, high) if found > wanted else (low, middle)
    return (low + high) / 2


def beside_rivals(steps: int, rounds: int, fused: bool) -> None:
    rows = simulate(falling(ROWS), EXPONENT, steps * BATCH)
    makers: dict[str, Callable[[], Contestant]] = {
        "torch-rechub": partial(torch_rechub, rows, fused=fused),
        "DeepCTR-Torch": partial(deepctr_torch, rows, fused=fused),
        "DeepCTR-Torch, its penalty": partial(deepctr_torch, rows, fused=fused, penalty=1e-5),
        "by hand": partial(by_hand, rows),
        "best by hand": partial(best_by_hand, rows),
        "best by hand, SparseAdam": partial(best_by_hand, rows, sparse=True),
        "trunkline, sum": partial(trunkline, rows),
        "trunkline, uncertainty": partial(trunkline, rows, objective="uncertainty"),
    }
    print(f"{len(rows):,} simulated rows, {COLUMNS} columns of {rows.sizes[-1]} to {rows.sizes[0]:,} ids,", end=" ")
    print(f"{sum(rows.sizes):,} embedding rows, {distinct(rows):,} of them in a batch; {steps} steps of {BATCH} a turn")
    found = take_turns(makers, rounds)
    show(f"{rounds} rounds, one thread", found, RIVALS)
    finish(
        "wide",
        check(found, LIMITS),
        rivals_fused=fused,
        thousand_rows_per_cpu_second=report(found),
        left_out=sorted(found.absent),
    )


def by_length(lengths: list[int], dense_at: int, steps: int, rounds: int) -> None:
    wanted = 0.0
    makers: dict[str, Callable[[], Contestant]] = {}
    for length in sorted({*lengths, dense_at}):
        size = length // COLUMNS
        exponent = exponent_for(wanted, size) if wanted else EXPONENT
        rows = simulate((size,) * COLUMNS, exponent, steps * BATCH)
        wanted = wanted or distinct(rows) / COLUMNS
        print(f"{length:>11,} embedding rows, {distinct(rows):,} of them in a batch (exponent {exponent:.3f})")
        makers[f"trunkline at {length:,}"] = partial(trunkline, rows, in_full=False)
        if length == dense_at:
            makers[f"dense Adam at {length:,}"] = partial(best_by_hand, rows)
    found = take_turns(makers, rounds)
    milliseconds = {
        name: {"median": round(BATCH / median(rates) * 1e3, 2), "least": round(BATCH / max(rates) * 1e3, 2)}
        for name, rates in found.rates.items()
    }
    print(f"\n{'CPU ms a step':28}{'median':>10}{'least':>10}")
    for name, took in milliseconds.items():
        print(f"{name:28}{took['median']:10.2f}{took['least']:10.2f}")
    shortest, longest, between = (f"trunkline at {length:,}" for length in (min(lengths), max(lengths), dense_at))
    stretch = found.ratio(shortest, longest)
    gain = found.ratio(between, f"dense Adam at {dense_at:,}")
    goals = [
        at_most("a step, longest tables / shortest", stretch, LONGEST_OVER_SHORTEST),
        at_least(f"a step at {dense_at:,} rows, dense Adam / trunkline", gain, DENSE_OVER_OURS),
    ]
    finish("wide by length", goals, cpu_ms_a_step=milliseconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=20, help="steps a turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rivals-fused", action="store_true", help="give the rivals torch's fused Adam, not theirs")
    parser.add_argument("--rows", help="embedding rows in all, several with commas between")
    parser.add_argument("--dense-at", type=int, default=5_000_000)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.rows:
        by_length([int(rows) for rows in asked.rows.split(",")], asked.dense_at, asked.steps, asked.rounds)
    else:
        beside_rivals(asked.steps, asked.rounds, asked.rivals_fused)


if __name__ == "__main__":
    main()
