"""How many rows a CPU second does a training take in, beside torch-rechub, DeepCTR-Torch and loops written by hand?

Census-Income (KDD), 30 categorical and 8 numeric columns, three binary tasks; the network and who runs it how: see
`rivals.py`. One thread, batch 2048. All contestants take turns in one process, an epoch over the same prepared rows
each; the first round warms up. Counted is the CPU time of the whole process while it trains, not what it takes to
prepare rows. First with a shared bottom, then with an MMoE of 8 experts.

Limits, of medians: with a shared bottom 2.5 x torch-rechub, 1.6 x DeepCTR-Torch and 0.95 x the best loop by hand, under
`training.compile` 3 x and 2 x the rivals; with 8 experts 1.8 x and 1.3 x the rivals.

Rows come from the folder `census_income_kdd` in the one that TRUNKLINE_DATA names; where there is none they are
simulated, with as many values in each column.

Run: python benchmarks/census.py [--steps 40,12] [--rounds 5] [--networks shared_bottom,mmoe]
    [--rivals-fused]
Prints a table for each network, and as the last line one JSON object.
"""

import argparse
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import torch
from goals import finish
from rivals import BATCH, Contestant, Rows, best_by_hand, by_hand, deepctr_torch, torch_rechub, trunkline
from turns import Limit, check, report, show, take_turns

from trunkline.datasets.census_income import COLUMNS, NUMBERS

TASKS = ("income", "never_married", "college")
TOLD = ("income_50k", "marital_stat", "education", "instance_weight")
"""Columns that say the labels, and the survey's weight."""
DEGREES = ("Bachelors", "Masters", "Prof school", "Doctorate")
SIZES = (
    *(9, 52, 47, 3, 24, 15, 5, 10, 2, 3, 6, 8, 6, 6, 51),
    *(38, 8, 10, 9, 10, 3, 4, 5, 43, 43, 43, 5, 3, 3, 3),
)
"""Values in each categorical column, for rows that are simulated."""
RIVALS = ("torch-rechub", "DeepCTR-Torch", "by hand", "best by hand")
EXPERTS = 8
LIMITS = {
    "shared_bottom": [
        *(Limit(name, "torch-rechub", 2.5) for name in ("trunkline, sum", "trunkline, uncertainty")),
        *(Limit(name, "DeepCTR-Torch", 1.6) for name in ("trunkline, sum", "trunkline, uncertainty")),
        *(Limit(name, "best by hand", 0.95) for name in ("trunkline, sum", "trunkline, uncertainty")),
        Limit("trunkline, sum, compiled", "torch-rechub", 3.0),
        Limit("trunkline, sum, compiled", "DeepCTR-Torch", 2.0),
    ],
    "mmoe": [
        *(Limit(name, "torch-rechub", 1.8) for name in ("trunkline, sum", "trunkline, uncertainty")),
        *(Limit(name, "DeepCTR-Torch", 1.3) for name in ("trunkline, sum", "trunkline, uncertainty")),
    ],
}


def read(path: Path, count: int) -> Rows:
    """`count` rows drawn from the file; a column's values are numbered, its numbers standardised."""
    table = pl.read_parquet(path).sample(count, seed=0)
    labels = table.select(
        pl.col("income_50k") == "50000+.",
        pl.col("marital_stat") == "Never married",
        pl.col("education").str.contains(rf"^({'|'.join(DEGREES)})"),
    )
    ids = table.select(pl.col(name).rank("dense") - 1 for name in COLUMNS if name not in (*NUMBERS, *TOLD))
    numbers = table.select((pl.col(name) - pl.col(name).mean()) / pl.col(name).std() for name in NUMBERS)
    return Rows(
        sizes=tuple(int(ids[name].max()) + 1 for name in ids.columns),
        ids=torch.from_numpy(ids.to_numpy().astype(np.int32, order="C")),
        numbers=torch.from_numpy(numbers.to_numpy().astype(np.float32, order="C")),
        labels=torch.from_numpy(labels.to_numpy().astype(np.float32, order="C")),
        tasks=TASKS,
    )


def simulate(count: int) -> Rows:
    random = np.random.default_rng(0)
    ids = (random.random((count, len(SIZES))) ** 3 * SIZES).astype(np.int32)
    numbers = random.normal(size=(count, len(NUMBERS))).astype(np.float32)
    labels = (ids[:, :3] % 3 + numbers[:, :3] > 1.5).astype(np.float32)
    return Rows(SIZES, *map(torch.from_numpy, (ids, numbers, labels)), tasks=TASKS)


def contestants(rows: Rows, experts: int, fused: bool) -> dict[str, Callable[[], Contestant]]:
    ours = partial(trunkline, rows, experts=experts)
    return {
        "torch-rechub": partial(torch_rechub, rows, experts=experts, fused=fused),
        "DeepCTR-Torch": partial(deepctr_torch, rows, experts=experts, fused=fused),
        "by hand": partial(by_hand, rows, experts=experts),
        "best by hand": partial(best_by_hand, rows, experts=experts),
        "trunkline, sum": ours,
        "trunkline, uncertainty": partial(ours, objective="uncertainty"),
        "trunkline, sum, batch norm": partial(ours, norm="batch"),
        "trunkline, sum, compiled": partial(ours, compiled=True),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default="shared_bottom,mmoe")
    parser.add_argument("--steps", default="40,12", help="steps a turn with a shared bottom, and with experts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--eager", action="store_true", help="without the compiled contestant")
    parser.add_argument("--rivals-fused", action="store_true", help="give the rivals torch's fused Adam, not theirs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    path = Path(os.environ.get("TRUNKLINE_DATA", "data")) / "census_income_kdd" / "train.parquet"
    source = "Census-Income (KDD)" if path.exists() else "simulated rows"
    figures, limits, absent = {}, {}, {}
    steps_of = dict(zip(LIMITS, map(int, asked.steps.split(",")), strict=True))
    for network in asked.networks.split(","):
        steps = steps_of[network]
        rows = read(path, steps * BATCH) if path.exists() else simulate(steps * BATCH)
        experts = EXPERTS if network == "mmoe" else 0
        makers = contestants(rows, experts, asked.rivals_fused)
        if asked.eager:
            del makers["trunkline, sum, compiled"]
        found = take_turns(makers, asked.rounds)
        show(
            f"{network}{f' of {experts} experts' if experts else ''}: {source}, {len(rows.sizes)} columns of ids, "
            f"{sum(rows.sizes)} embedding rows, {rows.numbers.shape[1]} numbers; {steps} steps of {BATCH} rows a turn, "
            f"{asked.rounds} rounds, one thread",
            found,
            RIVALS,
        )
        figures[network], limits[network], absent[network] = (
            report(found),
            check(found, LIMITS[network], f"{network}: "),
            found.absent,
        )
    finish(
        "census",
        [one for found in limits.values() for one in found],
        rows=source,
        rivals_fused=asked.rivals_fused,
        thousand_rows_per_cpu_second=figures,
        left_out=sorted({name for names in absent.values() for name in names}),
    )


if __name__ == "__main__":
    main()
