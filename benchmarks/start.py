"""How long does `trunkline train` take from its launch to the first training step, once its rows were encoded before?

A config like Census-Income's (30 categorical and 8 numeric columns, three binary tasks; 199,523 training rows, 99,762
others), Parquet files, the command line as a user gives it. Each round launches it twice with an empty folder of
stores and two new run folders: the first launch fits and encodes, the second finds the store. Timed is the way from the
launch to the first line of `history.jsonl`, which with `log_every: 1` is written after the first step; then the launch
is ended. That the second one encodes nothing is looked for in the folder of stores, where nothing may change. What
Python takes to import trunkline and torch is in all figures, and printed beside them.

Limit: 5 s for the second launch.

Rows as in `predict.py`.

Run: python benchmarks/start.py [--rounds 3]
Prints a table, and as the last line one JSON object.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from goals import at_most, finish
from predict import config, original, table

MOST = 5.0
PATIENCE = 300
"""Seconds after which a launch that has not come to its first step has failed."""


def command() -> list[str]:
    """`trunkline`, of this Python."""
    script = shutil.which("trunkline", path=Path(sys.executable).parent)
    return [script] if script else [sys.executable, "-c", "from trunkline.cli import main; main()"]


def launch(described: Path, run: Path) -> float:
    """Seconds from the launch to the first step."""
    history = run / "history.jsonl"
    began = time.perf_counter()
    with (run.parent / f"{run.name}.log").open("w") as log:
        process = subprocess.Popen(
            [*command(), "train", str(described), "--out", str(run), "--quiet"], stdout=log, stderr=log
        )
        try:
            while not (history.exists() and history.stat().st_size):
                took = time.perf_counter() - began
                if process.poll() is not None or took > PATIENCE:
                    raise SystemExit(f"no step after {took:.1f} s:\n{Path(log.name).read_text()}")
                time.sleep(0.002)
            return time.perf_counter() - began
        finally:
            process.kill()
            process.wait()


def imports() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import trunkline.cli.train, trunkline.training.fit"], check=True)
    return time.perf_counter() - began


def files_in(folder: Path) -> set[tuple[str, int, int]]:
    """Every file, and what would tell it from one written in its place."""
    found = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    return {(str(path.relative_to(folder)), stat.st_ino, stat.st_mtime_ns) for path, stat in found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--some", type=int, help="rows of each file; all by default")
    asked = parser.parse_args()
    took: dict[str, list[float]] = {"imports alone": [], "first launch": [], "second launch": []}
    changed = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        test = table("test", asked.some)
        parts = {
            "train": table("train", asked.some),
            "valid": test.gather_every(2),
            "test": test.gather_every(2, offset=1),
        }
        for part, frame in parts.items():
            frame.write_parquet(folder / f"{part}.parquet")
        for number in range(asked.rounds):
            store, described = folder / f"store{number}", folder / f"census{number}.yaml"
            data = {part: str(folder / f"{part}.parquet") for part in parts} | {"store": str(store)}
            training = {"batch_size": 2048, "device": "cpu", "log_every": 1}
            described.write_text(yaml.safe_dump(config(data=data, training=training)))
            took["imports alone"].append(imports())
            took["first launch"].append(launch(described, folder / f"run{number}-first"))
            before = files_in(store)
            assert before
            took["second launch"].append(launch(described, folder / f"run{number}-second"))
            changed += len(files_in(store) ^ before)
    source = "Census-Income (KDD)" if original("train").exists() else "simulated rows"
    print(f"{source}, {asked.rounds} rounds; seconds from the launch to the first step, least and greatest")
    for what, seconds in took.items():
        print(f"{what:16}{min(seconds):8.2f}{max(seconds):8.2f}")
    print(f"files in the folder of stores that the second launch wrote or changed: {changed}")
    second = min(took["second launch"])
    figures = [
        at_most("s to the first step, encoded before", second, MOST),
        at_most("files encoded again", changed, 0),
    ]
    seconds = {what: [round(one, 3) for one in each] for what, each in took.items()}
    finish("start", figures, rows=source, seconds=seconds)


if __name__ == "__main__":
    main()
