"""How fast is a file of estimates made of a file of rows, beside the network's forward pass alone?

Census-Income (KDD), 30 categorical and 8 numeric columns, three binary tasks, repeated to half a million rows in one
Parquet file; a bottom of 256-128, towers of 64-1, trained for one epoch. Three contestants take turns: trunkline from
Parquet to Parquet as `trunkline predict` does it, the model being loaded (`write_stream` of `Model.iter`: read,
encode, estimate, write); the network's bare forward pass in inference mode over the same rows, encoded beforehand, at
the best of a few batch sizes, its outputs thrown away; and reading and encoding alone. Both forward passes have all of
torch's threads.

Limit: 0.7 x the rows a second of the bare forward pass, in wall time.

Rows come from the folder `census_income_kdd` in the one that TRUNKLINE_DATA names; where there is none they are
simulated, with as many values in each column.

Run: python benchmarks/predict.py [--rows 500000] [--rounds 5]
Prints a table, and as the last line one JSON object.
"""

import argparse
import gc
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import census
import polars as pl
import torch
from goals import at_least, finish
from torch import Tensor

from trunkline import fit
from trunkline.datasets.census_income import COLUMNS, NUMBERS
from trunkline.inference.model import Model
from trunkline.inference.sink import write_stream
from trunkline.inference.stream import CHUNK
from trunkline.tables.source import Files

CATEGORIES = tuple(name for name in COLUMNS if name not in (*NUMBERS, *census.TOLD))
COUNTS = {"train": 199_523, "test": 99_762}
"""Rows of the survey's two files."""
BATCHES = (1024, 2048, 4096, 8192, 32768)
"""Rows a forward pass, of which the bare one takes what suits it best."""
LEAST = 0.7


def original(part: str) -> Path:
    """The file with rows of `train` or `test`, if it is there."""
    return Path(os.environ.get("TRUNKLINE_DATA", "data")) / "census_income_kdd" / f"{part}.parquet"


def table(part: str, most: int | None = None) -> pl.DataFrame:
    """Features and targets of `train` or `test`; of its first rows, if `most` says how many."""
    rows = whole(part)
    return rows if most is None else rows.head(most)


def whole(part: str) -> pl.DataFrame:
    if not original(part).exists():
        rows = census.simulate(COUNTS[part])
        ids = {name: ids.numpy() for name, ids in zip(CATEGORIES, rows.ids.unbind(1), strict=True)}
        texts = pl.DataFrame(ids).select(pl.all().cast(pl.String) + " value")
        numbers = {name: one.numpy() for name, one in zip(NUMBERS, rows.numbers.unbind(1), strict=True)}
        labels = rows.labels.to(torch.int8).unbind(1)
        targets = {name: one.numpy() for name, one in zip(census.TASKS, labels, strict=True)}
        return texts.with_columns(**{name: pl.Series(one) for name, one in (numbers | targets).items()})
    return pl.read_parquet(original(part)).select(
        *(pl.col(name).replace("?", None) for name in CATEGORIES),
        *NUMBERS,
        (pl.col("income_50k") == "50000+.").cast(pl.Int8).alias("income"),
        (pl.col("marital_stat") == "Never married").cast(pl.Int8).alias("never_married"),
        pl.col("education").str.contains(rf"^({'|'.join(census.DEGREES)})").cast(pl.Int8).alias("college"),
    )


def config(**sections: Any) -> dict[str, Any]:
    return {
        "features": dict.fromkeys(CATEGORIES, "categorical") | dict.fromkeys(NUMBERS, "numeric"),
        "tasks": dict.fromkeys(census.TASKS, "binary"),
        "network": {"sharing": {"hidden": [256, 128]}, "towers": {"hidden": [64]}},
        **sections,
    }


def file_to_file(model: Model, rows: Path, out: Path) -> None:
    out.unlink(missing_ok=True)
    write_stream(model.iter(str(rows)), out)


@torch.inference_mode()
def forward(model: Model, ids: Tensor, numbers: Tensor, batch: int) -> None:
    for some, others in zip(ids.split(batch), numbers.split(batch), strict=True):
        model.network(some, others)


def read_and_encode(model: Model, rows: Path) -> None:
    for chunk in Files(str(rows)).chunks(columns=model.encoder.names, rows=CHUNK):
        model.encoder.encode(chunk)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def check_estimates(model: Model, out: Path, ids: Tensor, numbers: Tensor) -> None:
    """What was written is what the network says."""
    written = pl.read_parquet(out)
    assert len(written) == len(ids)
    with torch.inference_mode():
        raws = model.network(ids[-1000:], numbers[-1000:])
    for task, raw in raws.items():
        torch.testing.assert_close(written[task][-1000:].to_torch(), raw[:, 0].double().sigmoid(), atol=1e-5, rtol=1e-4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--some", type=int, help="rows to train on; all by default")
    asked = parser.parse_args()
    source = "Census-Income (KDD)" if original("train").exists() else "simulated rows"
    with TemporaryDirectory() as folder:
        rows, out = Path(folder) / "rows.parquet", Path(folder) / "estimates.parquet"
        training = {"epochs": 1, "batch_size": 2048, "device": "cpu"}
        once = table("train", asked.some)
        model = fit(config(training=training, data={"store": "none"}), train=once)
        frame = pl.concat([once] * -(-asked.rows // len(once))).head(asked.rows).rechunk()
        frame.drop(census.TASKS).write_parquet(rows)
        encoded = model.encoder.encode(frame)
        ids, numbers = encoded.ids, encoded.numbers
        del once, frame
        bare = {batch: partial(forward, model, ids, numbers, batch) for batch in BATCHES}
        tried = {batch: min(seconds(work)[0] for _ in range(2)) for batch, work in bare.items()}
        batch = min(tried, key=lambda batch: tried[batch])
        contestants: dict[str, Callable[[], object]] = {
            f"forward alone, batch {batch}": bare[batch],
            "read and encode alone": partial(read_and_encode, model, rows),
            "trunkline, file to file": partial(file_to_file, model, rows, out),
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
        for number in range(asked.rounds + 1):
            for name in list(contestants) if number % 2 else reversed(contestants):
                took = seconds(contestants[name])
                if number:  # the first round warms up
                    found[name].append(took)
        check_estimates(model, out, ids, numbers)
    print(f"{source}, {asked.rows:,} rows, {asked.rounds} rounds, {torch.get_num_threads()} threads; least seconds")
    print(f"{'':28}{'wall s':>9}{'CPU s':>9}{'rows/s':>12}{'x wall':>9}{'x CPU':>9}")
    least = {name: (min(wall for wall, _ in took), min(cpu for _, cpu in took)) for name, took in found.items()}
    wall, cpu = next(iter(least.values()))
    for name, (one, other) in least.items():
        print(f"{name:28}{one:9.2f}{other:9.2f}{asked.rows / one:12,.0f}{wall / one:9.2f}{cpu / other:9.2f}")
    ratio = wall / least["trunkline, file to file"][0]
    figure = "rows/s file to file / forward alone, wall"
    rounded = {name: [(round(one, 3), round(other, 3)) for one, other in took] for name, took in found.items()}
    finish(
        "predict",
        [at_least(figure, ratio, LEAST)],
        rows=source,
        batch=batch,
        wall_and_cpu_s=rounded,
        cpu_ratio_of_minima=round(cpu / least["trunkline, file to file"][1], 3),
    )


if __name__ == "__main__":
    main()
