"""How long does `trunkline train` take from its launch to the first training step, once its rows were encoded before?

A config like Census-Income's (30 categorical and 8 numeric columns, three binary tasks; 199,523 training rows, 99,762
others), Parquet files, the command line as a user gives it. Each round launches it twice with an empty folder of
stores and two new run folders: the first launch fits and encodes, the second finds the store. Timed is the way from the
launch to the first line of `history.jsonl`, which with `log_every: 1` is written after the first step; then the launch
is ended. That the second one encodes nothing is looked for in the folder of stores, where nothing may change. What
Python takes to import trunkline and torch is in all figures, and printed beside them.

Beside it, in the same rounds, the other doors: imports, help, version, a typo, and `init` on 10,000 rows of CSV, each
against what it cannot do without. An optimiser of torch's loads torch's compiler, so a step does.

Goals: 5 s for the second launch; the ratios that `judged` has.

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

import polars as pl
import yaml
from goals import Figure, at_most, finish
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


CORE = "from trunkline import Embedding, Fork, MLP, Network, Subnets, Towers, balance, sharing, tasks"
STEP = """
import polars, torch
network = torch.nn.Sequential(torch.nn.Linear(400, 256), torch.nn.ReLU(), torch.nn.Linear(256, 3))
optimizer = torch.optim.AdamW(network.parameters(), fused=True)
network(torch.randn(2048, 400)).square().mean().backward()
optimizer.step()
"""
READ = "import polars, sys; polars.read_csv(sys.argv[1], infer_schema_length=None)"


def doors(folder: Path, rows: pl.DataFrame) -> dict[str, list[str]]:
    """By what a user does, the command; and beside it what it is compared with."""
    rows.head(10_000).write_csv(folder / "sample.csv")
    python, told = (
        sys.executable,
        ["--task", "income", "--task", "college", "--overwrite", "-o", str(folder / "o.yaml")],
    )
    return {
        "import torch": [python, "-c", "import torch"],
        "import trunkline": [python, "-c", "import trunkline"],
        "import trunkline's core": [python, "-c", CORE],
        "trunkline --help": [*command(), "--help"],
        "trunkline --version": [*command(), "--version"],
        "trunkline trian": [*command(), "trian"],
        "polars reads 10,000 rows": [python, "-c", READ, str(folder / "sample.csv")],
        "trunkline init of them": [*command(), "init", str(folder / "sample.csv"), *told],
        "torch, polars and a step": [python, "-c", STEP],
    }


def waited(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(arguments, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def judged(least: dict[str, float]) -> list[Figure]:
    """Each door beside its goal: ratios of the least seconds of one run."""
    seconds = [at_most(f"{name}, s", least[name], 0.4) for name in least if name.startswith("trunkline --")]
    return [
        at_most(
            "import trunkline's core / import torch", least["import trunkline's core"] / least["import torch"], 1.1
        ),
        *seconds,
        at_most("trunkline trian, s", least["trunkline trian"], 0.4),
        at_most("init / reading its rows", least["trunkline init of them"] / least["polars reads 10,000 rows"], 1.3),
        at_most(
            "first step / torch, polars and a step", least["second launch"] / least["torch, polars and a step"], 1.5
        ),
    ]


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
            for name, arguments in doors(folder, parts["train"]).items():
                took.setdefault(name, []).append(waited(arguments))
    source = "Census-Income (KDD)" if original("train").exists() else "simulated rows"
    print(f"{source}, {asked.rounds} rounds; seconds from the launch to the first step, least and greatest")
    for what, seconds in took.items():
        print(f"{what:26}{min(seconds):8.2f}{max(seconds):8.2f}")
    print(f"files in the folder of stores that the second launch wrote or changed: {changed}")
    second = min(took["second launch"])
    figures = [
        at_most("s to the first step, encoded before", second, MOST),
        at_most("files encoded again", changed, 0),
        *judged({what: min(times) for what, times in took.items()}),
    ]
    seconds = {what: [round(one, 3) for one in each] for what, each in took.items()}
    finish("start", figures, rows=source, seconds=seconds)


if __name__ == "__main__":
    main()
