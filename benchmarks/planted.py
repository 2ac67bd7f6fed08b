"""Does `trunkline diagnose` find what was planted, and nothing where nothing was?

The simulated feed, trained briefly under a sound config, and under the same config with one fault: a dominating loss, a
tower's rate a hundred times too high, a column that gives a label away, gates that starve experts, and a task that
takes from click what it gives. Thresholds were set by seeds from 100 on; what is reported are seeds 0 to 9.

Run: python benchmarks/planted.py [--seeds 10] [--first 0] [--rows 20000]
Prints a table, and as the last line one JSON object.
"""

import argparse
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import torch
from goals import at_least, at_most, finish

from trunkline.datasets import feed
from trunkline.insight.diagnosis.diagnose import Diagnosis, diagnose

LABELS = ("click", "dwell", "purchase")
TASKS = {
    "click": "binary",
    "dwell": {"kind": "regression", "where": "click"},
    "purchase": {"kind": "binary", "where": "click"},
}
CONFIG = {
    "features": {
        "user": {"kind": "categorical", "dim": 8, "min_count": 3},
        "item": {"kind": "categorical", "dim": 8},
        "category": "categorical",
        "device": "categorical",
        "price": {"kind": "numeric", "log": True},
        "age": "numeric",
        "returning": "boolean",
        "time": "datetime",
    },
    "tasks": TASKS,
    "network": {"sharing": {"hidden": [64, 32]}, "towers": {"hidden": [32]}, "dropout": 0.2},
    "balance": {"objective": "uncertainty"},
    "optimizer": {
        "lr": 0.002,
        "schedule": "warmup_cosine",
        "subnets": {"embedding": {"lr": 0.004, "weight_decay": 0.1}},
    },
    "training": {"epochs": 6, "batch_size": 256, "device": "cpu"},
}
EXPERTS = {"network.sharing": {"kind": "mmoe", "experts": 12, "hidden": [32, 16]}}

Change = Callable[[pl.DataFrame, int], pl.DataFrame]


def _as_it_is(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame


def _with_leak(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """One label in other units and with some noise, known where the label is."""
    label = pl.col(LABELS[seed % 3]).cast(pl.Float64)
    noise = pl.Series(np.random.default_rng(seed).normal(size=len(frame)))
    return frame.with_columns((3 * label + 0.05 * label.std() * noise).alias("session"))


def _with_rival(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """What is left of a row's attention: it has the causes of click, and is less by as much as click is more."""
    return frame.with_columns((2 * pl.col("true_click") - pl.col("click")).alias("rest"))


@dataclass(frozen=True)
class Plant:
    """A fault: how it gets into rows and config, and which finding it should give about what."""

    kind: str
    overrides: Callable[[int], dict[str, Any]] = lambda seed: {}
    change: Change = _as_it_is
    subject: Callable[[int], str] = field(default=lambda seed: "")

    def found(self, diagnosis: Diagnosis, seed: int) -> bool:
        """Whether the diagnosis has it."""
        return any(f.kind == self.kind and self.subject(seed) in f.subject for f in diagnosis.findings)


PLANTS = {
    "dwell in raw seconds": Plant(
        "dominance",
        lambda seed: {"tasks.dwell.standardize": False, "balance.objective": "sum"},
        subject=lambda seed: "dwell",
    ),
    "a tower's rate × 100": Plant(
        "dead_units",
        lambda seed: {f'optimizer.subnets."tower.{LABELS[seed % 3]}".lr': 0.2},
        subject=lambda seed: f"tower.{LABELS[seed % 3]}",
    ),
    "a leaking column": Plant(
        "leak", lambda seed: {"features.session": "numeric"}, _with_leak, subject=lambda seed: "session"
    ),
    "starved experts": Plant("unused_experts", lambda seed: {**EXPERTS, 'optimizer.subnets."gate.*".lr': 1.0}),
    "a conflicting task": Plant(
        "conflict",
        lambda seed: {"tasks": {**TASKS, "rest": "regression"}},
        _with_rival,
        subject=lambda seed: "click, rest",
    ),
}
CLEAN = {"clean": Plant(""), "clean, with experts": Plant("", lambda seed: EXPERTS)}


def diagnosed(plant: Plant, seed: int, rows: int) -> Diagnosis:
    """The feed with the fault, diagnosed."""
    parts = feed.split(plant.change(feed.simulate(rows, seed=seed), seed))
    return diagnose(CONFIG, **parts, overrides={"training.seed": seed, **plant.overrides(seed)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--rows", type=int, default=20_000)
    arguments = parser.parse_args()
    os.environ["TRUNKLINE_STORE"] = "none"
    torch.set_num_threads(1)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    result: dict[str, Any] = {"seeds": [seeds[0], seeds[-1]], "rows": arguments.rows, "found": {}, "beside": {}}
    print(f"{'planted':<24} {'found':>8}  what else was found")
    for name, plant in (PLANTS | CLEAN).items():
        found, beside = 0, Counter[str]()
        for seed in seeds:
            diagnosis = diagnosed(plant, seed, arguments.rows)
            found += plant.found(diagnosis, seed)
            beside.update({f.kind for f in diagnosis.findings if f.kind != plant.kind})
        others = ", ".join(f"{kind} in {count}" for kind, count in beside.most_common()) or "nothing"
        shown = f"{found} of {len(seeds)}" if plant.kind else ""
        print(f"{name:<24} {shown:>8}  {others}", flush=True)
        result["beside"][name] = dict(beside)
        if plant.kind:
            result["found"][name] = found
    plants = result["found"]
    shares = [
        at_least(f"{name}: share of seeds in which it is found", n / len(seeds), 0.9) for name, n in plants.items()
    ]
    clean = sum(sum(result["beside"][name].values()) for name in CLEAN) / (len(CLEAN) * len(seeds))
    finish("planted", [*shares, at_most("findings on a clean feed, a run", clean, 0.05)], **result)


if __name__ == "__main__":
    main()
