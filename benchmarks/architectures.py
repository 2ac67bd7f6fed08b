"""Every sharing architecture on real data, over several seeds, beside networks of one task each: a table.

Each fit is that of the shipped example with another `network.sharing`; sizes are of the same order, none is tuned. Rows
of the table: the mean over the seeds of each task's score on the test rows, and the standard deviation between seeds.
What is done is kept in --kept, a line a fit, and not done again.

Run: trunkline data census-income data/census && python benchmarks/architectures.py census data/census
     trunkline data kuairand data/kuairand && python benchmarks/architectures.py kuairand data/kuairand
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import polars as pl
import torch
from goals import at_least, finish

from trunkline import fit
from trunkline.datasets import feed

ROOT = Path(__file__).parents[1]
WIDE, NARROW = [256, 128], [128, 64]
SIZES: dict[str, dict[str, Any]] = {
    "shared_bottom": {"hidden": WIDE},
    "omoe": {"experts": 4, "hidden": NARROW},
    "mmoe": {"experts": 4, "hidden": NARROW},
    "cgc": {"shared": 2, "specific": 1, "hidden": NARROW},
    "ple": {"shared": [2, 2], "specific": [1, 1], "hidden": [[128], [64]]},
    "dselect_k": {"experts": 4, "k": 2, "hidden": NARROW},
    "cross_stitch": {"hidden": NARROW},
    "mtan": {"hidden": NARROW},
    "aitm": {"hidden": NARROW},
    "star": {"hidden": WIDE},
    "pepnet": {"hidden": NARROW},
    "single": {"hidden": NARROW},
}
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "census": {"star": {"domain": "sex"}, "pepnet": {"prior": ["class_worker", "tax_filer_stat"]}},
    "kuairand": {"star": {"domain": "tab"}, "pepnet": {"prior": ["user_id", "tab"]}},
}
CONFIGS = {
    "census": ROOT / "examples" / "census_income" / "census.yaml",
    "kuairand": ROOT / "examples" / "kuairand" / "kuairand.yaml",
    "simulated": {
        "data": {"ignore": ["dwell"]},
        "tasks": {"click": "binary", "purchase": {"kind": "binary", "reads": ["click"]}},
        "training": {"epochs": 1},
    },
}
METRIC = {"play_time": "spearman"}
"""What a task is judged by, where it is not the area under the curve."""
ALONE = "one task alone"
LEAST = {
    "census": {"income": 0.945, "never_married": 0.99, "college": 0.9},
    "kuairand": {"click": 0.703, "long_view": 0.706, "like": 0.791, "profile_enter": 0.706},
    "simulated": {"click": 0.5},
}
"""What every architecture has to reach: figures of the first plan, and gradient boosting without past rates."""


def frames(data: str, folder: Path) -> dict[str, pl.DataFrame]:
    if data == "simulated":
        return feed.split(feed.simulate(3000, seed=0))
    parts = {part: pl.read_parquet(folder / f"{part}.parquet") for part in ("train", "valid", "test")}
    if data == "kuairand":
        # A video that was not played has no time of which a logarithm could be taken.
        positive = pl.when(pl.col("play_time") > 0).then("play_time")
        parts = {part: frame.with_columns(positive) for part, frame in parts.items()}
    return parts


def overrides(data: str, architecture: str, seed: int) -> dict[str, Any]:
    values: dict[str, Any] = {"training.seed": seed}
    if architecture != ALONE:
        values["network.sharing"] = {
            "kind": architecture,
            **SIZES[architecture],
            **OWN.get(data, {}).get(architecture, {}),
        }
    if data == "kuairand":
        values["tasks.play_time"] = "lognormal"
    return values


def tasks_of(data: str) -> list[str]:
    return {
        "census": ["income", "never_married", "college"],
        "kuairand": ["click", "long_view", "like", "profile_enter", "play_time"],
        "simulated": ["click", "purchase"],
    }[data]


def scores(data: str, architecture: str, seed: int, rows: dict[str, pl.DataFrame]) -> dict[str, Any]:
    """Test scores by task, parameters and seconds of one fit, or of one fit a task."""
    found: dict[str, Any] = {"parameters": 0, "seconds": 0.0, "scores": {}}
    names = tasks_of(data)
    for group in [[name] for name in names] if architecture == ALONE else [names]:
        config = only(data, group, overrides(data, architecture, seed))
        began = time.process_time()
        metrics = fit(config, **rows).metrics
        found["seconds"] += time.process_time() - began
        found["parameters"] += metrics["parameters"]
        found["scores"] |= {name: metrics["test"][name][METRIC.get(name, "auc")] for name in group}
    return found


def only(data: str, names: list[str], changes: dict[str, Any]) -> dict[str, Any]:
    """The shipped config with these changes, for these tasks; one that is alone reads no other."""
    from trunkline.config import Config

    config = Config.make(CONFIGS[data], overrides=changes).model_dump(mode="json")
    config["data"] = {"store": "none"}
    config["tasks"] = {name: task for name, task in config["tasks"].items() if name in names}
    for task in config["tasks"].values():
        task["reads"] = [read for read in task["reads"] if read in names]
    config["training"]["select"] = "mean"
    return config


def table(lines: list[dict[str, Any]], names: list[str]) -> str:
    header = ["architecture", *names, "parameters", "CPU s"]
    rows = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    for architecture in dict.fromkeys(line["architecture"] for line in lines):
        mine = [line for line in lines if line["architecture"] == architecture]
        cells = []
        for name in names:
            values = [line["scores"][name] for line in mine]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            cells.append(f"{statistics.mean(values):.4f} ± {spread:.4f}")
        cells.append(f"{mine[0]['parameters'] / 1e3:,.0f} k")
        cells.append(f"{statistics.mean(line['seconds'] for line in mine):,.0f}")
        rows.append("| " + " | ".join([architecture, *cells]) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=list(CONFIGS))
    parser.add_argument("folder", type=Path, nargs="?", help="what `trunkline data` wrote; simulated rows need none")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="architectures, separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kept", type=Path, default=None, help="file of what is done")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    kept = arguments.kept or (arguments.folder / "architectures.jsonl" if arguments.folder else Path(os.devnull))
    lines = [json.loads(text) for text in kept.read_text().splitlines()] if kept.is_file() else []
    rows = frames(arguments.data, arguments.folder)
    wanted = arguments.only.split(",") if arguments.only else [*SIZES, ALONE]
    for architecture in wanted:
        for seed in range(arguments.seeds):
            if any((line["architecture"], line["seed"]) == (architecture, seed) for line in lines):
                continue
            found = scores(arguments.data, architecture, seed, rows)
            lines.append({"architecture": architecture, "seed": seed, **found})
            with kept.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
            told = "  ".join(f"{name} {value:.4f}" for name, value in found["scores"].items())
            print(f"{architecture:14} seed {seed}: {told}  {found['seconds']:.0f} s", flush=True)
    order = {name: i for i, name in enumerate([*SIZES, ALONE])}
    lines.sort(key=lambda line: (order[line["architecture"]], line["seed"]))
    print(table(lines, tasks_of(arguments.data)))
    figures = [
        at_least(f"{name} of {architecture}, mean test score", statistics.mean(values), LEAST[arguments.data][name])
        for architecture in dict.fromkeys(line["architecture"] for line in lines)
        for name in LEAST[arguments.data]
        if (values := [line["scores"][name] for line in lines if line["architecture"] == architecture])
    ]
    finish("architectures", figures, data=arguments.data, fits=lines)


if __name__ == "__main__":
    main()
