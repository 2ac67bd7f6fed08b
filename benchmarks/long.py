"""How do memory and speed of a training depend on the length of its table?

The simulated log of `encoding.py`, 26 categorical columns of up to 100,000 values and 13 of numbers, is written as
Parquet files of a million rows, by a process of its own. Then, for each length, a fresh process runs `fit` over as many
of the files: it encodes into an empty folder of stores and trains one epoch, batch 8192, a bottom of 64 and two towers
of 16-1, plain sum of losses, row-sparse tables where a column has over 10,000 values. Peak resident memory is what the
system says of that process (`ru_maxrss`): everything counts, torch and polars themselves, and pages of mapped files
that the system could take back. Beside it the highest samples of private memory and of mapped files. Embedding tables
and their optimiser state, which grow with vocabularies and not with rows, are taken off.

Limit: 3 GiB at the greatest length, embedding tables and their optimiser state apart. 20 million rows take 6 GB
of disk, files and store.

Run: python benchmarks/long.py [--rows 1,5,20]
Prints a table, and as the last line one JSON object.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from encoding import TASKS, Log
from goals import at_most, finish

from trunkline import fit
from trunkline.training.loop import Loop

BATCH = 8192
MOST = 3 << 30
EVERY = 0.02
"""Seconds between two samples."""


class Resident:
    """The most memory that this process had, sampled on a thread: in bytes, private and of mapped files."""

    def __init__(self) -> None:
        self.private = self.mapped = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def sample(self) -> None:
        status = Path("/proc/self/status")
        while status.exists() and not self.stop.wait(EVERY):
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            private, mapped = (int(lines[name].split()[0]) << 10 for name in ("RssAnon", "RssFile"))
            self.private, self.mapped = max(self.private, private), max(self.mapped, mapped)

    def so_far(self) -> dict[str, int]:
        """What it was; begins anew."""
        found = {"private": self.private, "mapped": self.mapped}
        self.private = self.mapped = 0
        return found

    def __enter__(self) -> "Resident":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def peak() -> int:
    """Bytes, so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def piece(folder: Path, number: int) -> Path:
    return folder / f"log-{number:03}.parquet"


def store(folder: Path, pieces: int) -> Path:
    return folder / f"store-{pieces}"


def write(folder: Path, pieces: int, rows: int) -> None:
    log = Log()
    for number in range(pieces):
        log.rows(rows, seed=number).write_parquet(piece(folder, number))


def train(folder: Path, pieces: int, rows: int) -> dict[str, Any]:
    """What one length takes, in bytes and seconds."""
    loops: list[Loop] = []
    found: dict[str, Any] = {"imports": peak()}
    began = time.perf_counter()

    def started(loop: Loop) -> None:
        found["encode_s"], found["encoding"] = time.perf_counter() - began, resident.so_far()
        loops.append(loop)

    config = {
        "data": {"train": [str(piece(folder, i)) for i in range(pieces)], "store": str(store(folder, pieces))},
        "features": Log(longest=4).features,
        "tasks": dict.fromkeys(TASKS, "binary"),
        "network": {"sharing": {"hidden": [64]}, "towers": {"hidden": [16]}},
        "balance": {"objective": "sum"},
        "training": {
            "epochs": 1,
            "batch_size": BATCH,
            "device": "cpu",
            "log_every": min(100, -(-pieces * rows // BATCH)),
        },
    }
    with Resident() as resident:
        model = fit(config, on_start=started)
    (loop,) = loops
    tables = list(loop.network.embedding.parameters())
    states = [optimizer.state[table] for optimizer in loop.state.optimizers for table in tables]
    numbers = [*tables, *(one for state in states for one in state.values())]
    return found | {
        "rows": len(loop.train.store),
        "rows_per_second": model.metrics["rows_per_second"],
        "log_loss": sum(model.history[-2]["losses"].values()) / len(TASKS),
        "peak": peak(),
        "training": resident.so_far(),
        "tables": sum(one.nbytes for one in numbers),
        "store": loop.train.store.bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1,5,20", help="millions, several with commas between")
    parser.add_argument("--piece", type=int, default=1_000_000, help="rows of what is called a million here")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--train", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write is not None:
        write(asked.folder, asked.write, asked.piece)
        return
    if asked.train is not None:
        print(json.dumps(train(asked.folder, asked.train, asked.piece)))
        return
    lengths = sorted(int(millions) for millions in asked.rows.split(","))
    figures = {}
    with TemporaryDirectory() as folder:
        itself = [sys.executable, __file__, "--folder", folder, "--piece", str(asked.piece)]
        subprocess.run([*itself, "--write", str(lengths[-1])], check=True)
        print("MiB of memory, private and of mapped files; apart: peak less tables and their optimiser state")
        print(f"{'':24}{'encoding':>25}{'training':>27}")
        print(
            f"{'rows':>12}{'imports':>9}" + f"{'s':>9}{'private':>9}{'mapped':>8}{'rows/s':>10}{'private':>9}", end=""
        )
        print(f"{'mapped':>8}{'peak':>8}{'tables':>8}{'apart':>8}{'store':>8}")
        for pieces in lengths:
            done = subprocess.run([*itself, "--train", str(pieces)], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout.splitlines()[-1])
            shutil.rmtree(store(Path(folder), pieces))
            found["apart"] = found["peak"] - found["tables"]
            figures[str(found["rows"])] = found
            print(f"{found['rows']:12,}{found['imports'] >> 20:9}{found['encode_s']:9.1f}", end="")
            print(f"{found['encoding']['private'] >> 20:9}{found['encoding']['mapped'] >> 20:8}", end="")
            print(f"{found['rows_per_second']:10,.0f}{found['training']['private'] >> 20:9}", end="")
            print(f"{found['training']['mapped'] >> 20:8}", end="")
            print("".join(f"{found[name] >> 20:8}" for name in ("peak", "tables", "apart", "store")), flush=True)
    figure = f"GiB at {lengths[-1] * asked.piece:,} rows, embedding tables apart"
    finish("long", [at_most(figure, found["apart"] / 2**30, MOST / 2**30)], by_rows=figures)


if __name__ == "__main__":
    main()
