"""What does it cost to make encoded rows of a file, beside reading it with polars alone?

A simulated log: 26 categorical columns of 4 to 100,000 values that follow a power law, half of them integers and half
short texts, 13 columns of numbers some of which are missing, two labels of 0 and 1; as Parquet and as CSV. Per format
three contestants take turns: polars reads the file into a frame (`scan_….collect()`); trunkline goes the whole way
from the file to a store on disk that was not there before, fitting vocabularies on the way (`prepare`); and it encodes
alone, with everything fitted beforehand. Features are named, as a run that was begun names them.

Limit, of the whole way: 4 x the wall time of polars' reading, for Parquet and for CSV.

Run: python benchmarks/encoding.py [--rows 1000000] [--rounds 3] [--formats parquet,csv]
Prints a table, and as the last line one JSON object.
"""

import argparse
import gc
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from goals import at_most, finish

from trunkline.assembly.tasks import build_features, build_tasks
from trunkline.config import Config
from trunkline.preparation.data import Data, prepare

CATEGORICAL, NUMERIC, TASKS = 26, 13, ("click", "buy")
LONGEST = 100_000
MOST = 4.0
READERS = {"parquet": pl.scan_parquet, "csv": pl.scan_csv}


class Log:
    """Rows of a log, any number of them at a time.

    Args:
        longest: values of the longest categorical columns; the others' fall to 4 by a constant factor.
    """

    def __init__(self, longest: int = LONGEST) -> None:
        random = np.random.default_rng(0)
        # every length once as integers and once as texts
        self.sizes = np.geomspace(longest, 4, CATEGORICAL // 2).round().astype(int).repeat(2)
        self.values: list[pl.Series] = []
        for i, size in enumerate(self.sizes):
            ids = random.choice(1 << 30, size, replace=False) if size > 1000 else np.arange(size) + 1
            self.values.append(pl.Series([f"v{one:x}" for one in ids] if i % 2 else ids))

    @property
    def features(self) -> dict[str, str]:
        """Of a config."""
        return {f"c{i}": "categorical" for i in range(CATEGORICAL)} | {f"n{i}": "numeric" for i in range(NUMERIC)}

    def rows(self, count: int, seed: int) -> pl.DataFrame:
        random = np.random.default_rng(seed)
        columns: dict[str, pl.Series | np.ndarray] = {}
        for i, (size, values) in enumerate(zip(self.sizes, self.values, strict=True)):
            # the first k of n values make up (k / n)**(1 / 4) of the rows
            picked = (random.random(count, dtype=np.float32) ** 4 * size).astype(np.uint32)
            columns[f"c{i}"] = values.gather(np.minimum(picked, size - 1))
        for i in range(NUMERIC):
            numbers = pl.Series(random.normal(size=count).round(4))
            missing = pl.Series(random.random(count, dtype=np.float32) < 0.02 * i)
            columns[f"n{i}"] = pl.select(pl.when(~missing).then(numbers)).to_series()
        for i, task in enumerate(TASKS):
            lean = columns[f"n{i}"].fill_null(0).to_numpy() + random.normal(size=count)
            columns[task] = (lean > 1.5).astype(np.int8)
        return pl.DataFrame(columns)


@dataclass
class Took:
    """Seconds of each round."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def encode(file: Path, store: Path, fitted: Data | None) -> Data:
    """The encoded rows of a file, in a folder of stores that is empty."""
    config = Config.make(
        {
            "data": {"train": str(file), "store": str(store)},
            "features": Log(longest=4).features,
            "tasks": dict.fromkeys(TASKS, "binary"),
        }
    )
    features, tasks = build_features(config), build_tasks(config)
    return prepare(config, tasks, features, {}, fitted=None if fitted is None else (fitted.encoder, fitted.labels))


def take_turns(contestants: dict[str, Callable[[], object]], store: Path, rounds: int) -> dict[str, Took]:
    """Forwards and backwards in turn; the round before the first one warms up."""
    found = {name: Took() for name in contestants}
    for number in range(rounds + 1):
        for name in list(contestants) if number % 2 else reversed(contestants):
            shutil.rmtree(store, ignore_errors=True)
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            made = contestants[name]()
            if number:
                found[name].wall.append(time.perf_counter() - wall)
                found[name].cpu.append(time.process_time() - cpu)
            del made
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default="parquet,csv")
    asked = parser.parse_args()
    figures, limits = {}, []
    with TemporaryDirectory() as folder:
        store, frame = Path(folder) / "store", Log().rows(asked.rows, seed=1)
        files = {kind: Path(folder) / f"log.{kind}" for kind in asked.formats.split(",")}
        for kind, file in files.items():
            frame.write_parquet(file) if kind == "parquet" else frame.write_csv(file)
        del frame
        print(f"{asked.rows:,} rows, {asked.rounds} rounds, {pl.thread_pool_size()} threads of polars'; least seconds")
        for kind, file in files.items():
            fitted = encode(file, store, None)
            contestants: dict[str, Callable[[], object]] = {
                "polars reads": lambda file=file, kind=kind: READERS[kind](file).collect(),
                "trunkline, whole way": partial(encode, file, store, None),
                "trunkline, encode alone": partial(encode, file, store, fitted),
            }
            found = take_turns(contestants, store, asked.rounds)
            print(f"\n{kind}, {file.stat().st_size / 2**20:.0f} MiB")
            print(f"{'':24}{'wall s':>9}{'CPU s':>9}{'x wall':>9}{'x CPU':>9}")
            least = {name: (min(took.wall), min(took.cpu)) for name, took in found.items()}
            wall, cpu = least["polars reads"]
            ratios = {name: (one / wall, other / cpu) for name, (one, other) in least.items()}
            for name, pair in least.items():
                print(f"{name:24}" + "".join(f"{value:9.2f}" for value in (*pair, *ratios[name])))
            figures[kind] = {
                name: {
                    "wall_s": [round(one, 3) for one in took.wall],
                    "cpu_s": [round(one, 3) for one in took.cpu],
                    "wall_ratio_of_minima": round(ratios[name][0], 3),
                    "cpu_ratio_of_minima": round(ratios[name][1], 3),
                }
                for name, took in found.items()
            }
            ratio = ratios["trunkline, whole way"][0]
            figure = f"{kind}: file to store / polars' reading, wall"
            limits.append(at_most(figure, ratio, MOST))
    finish("encoding", limits, rows=asked.rows, of=figures)


if __name__ == "__main__":
    main()
