"""Does `trunkline compare` claim gains where there are none?

Every simulated table has tasks that have nothing to do with one another: each depends on features of its own, all of
them drawn independently, so that what one task teaches a trunk is of no use to another. Single-task networks, the
config and two balancers are compared on each.

Limit: no gain claimed in at least 19 of 20 comparisons.

Run: python benchmarks/null_comparison.py [--tables 20] [--rows 3000] [--seeds 3]
Prints a line a table, and as the last line one JSON object.
"""

import argparse
from typing import Any

import numpy as np
import polars as pl
import torch
from goals import at_least, finish

from trunkline import Comparison, compare

WIDTH = 6
"""Features of each task."""
PARTS = {"train": 0.5, "valid": 0.2, "test": 0.3}
CONFIG: dict[str, Any] = {
    "data": {"store": "none"},
    "tasks": {"click": "binary", "dwell": "lognormal", "topic": "multiclass"},
    "network": {"sharing": {"hidden": [24]}, "towers": {"hidden": [8]}},
    "balance": {"objective": "sum"},
    "optimizer": {"lr": 0.01},
    "training": {"epochs": 6, "batch_size": 128, "patience": 2, "device": "cpu", "log_every": 1000},
}
VARY = {"balance.objective": ["sum", "uncertainty", "famo"]}


def table(rows: int, seed: int) -> dict[str, pl.DataFrame]:
    """Three tasks on three sets of features."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(rows, 3, WIDTH))
    signal = np.einsum("ntk,tk->nt", features, draw.normal(size=(3, WIDTH)) / np.sqrt(WIDTH))
    columns = {f"x{task}{k}": features[:, task, k] for task in range(3) for k in range(WIDTH)}
    frame = pl.DataFrame(columns).with_columns(
        click=(signal[:, 0] + draw.logistic(size=rows) > 0).astype(np.int8),
        dwell=np.exp(signal[:, 1] + draw.normal(size=rows)),
        topic=np.digitize(signal[:, 2] + draw.normal(size=rows), [-0.7, 0.7]),
    )
    ends = np.cumsum([0, *PARTS.values()]) * rows
    return {part: frame[int(ends[i]) : int(ends[i + 1])] for i, part in enumerate(PARTS)}


def compared(rows: int, seed: int, seeds: int) -> Comparison:
    """One comparison, in this process."""
    return compare(CONFIG, vary=VARY, seeds=seeds, jobs=1, **table(rows, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=20)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    gains, losses = [], []
    for seed in range(asked.tables):
        found = compared(asked.rows, seed, asked.seeds)
        gains.append(found.gains)
        losses.append(found.losses)
        changes = {
            f"{one.label} {task}": f"{one.tasks[task].change.value:+.4f}"
            for one in found.networks[1:]
            for task in found.metrics
        }
        print(f"table {seed}: gains {found.gains or 'none'}, losses {found.losses or 'none'}; {changes}", flush=True)
    without = sum(not some for some in gains)
    share = at_least("share of tables in which no gain is claimed", without / asked.tables, 0.95)
    finish("null_comparison", [share], tables=asked.tables, with_a_loss=sum(map(bool, losses)))


if __name__ == "__main__":
    main()
