"""Every benchmark of speed, one after the other, and at the end a table of figures beside their goals.

The arguments below keep the whole under a quarter of an hour on two cores; each script alone measures more by default.
A script that fails does not stop the others: the table names it with what it said last, and the status at the end is 1.
A goal that is missed is no failure: on a machine that does other work besides, a figure says little, and the one to
mend is seen in the table.

Run: python benchmarks/summary.py [--smoke] [census.py long.py …]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from goals import read

RUNS = (
    ("census.py", "--steps", "20,6", "--rounds", "3"),
    ("wide.py", "--steps", "10", "--rounds", "3"),
    ("wide.py", "--steps", "10", "--rounds", "3", "--rows", "100000,50000000"),
    ("encoding.py", "--rows", "300000"),
    ("long.py", "--rows", "1,5"),
    ("predict.py",),
    ("start.py",),
    ("fork.py", "--rounds", "10"),
    ("exact.py", "--rounds", "5"),
    ("solvers.py", "--rounds", "40"),
    ("loop_overhead.py",),
)
"""Scripts of speed, at sizes that tell something."""
SMOKE = (
    ("census.py", "--steps", "1,1", "--rounds", "1", "--eager"),
    ("wide.py", "--steps", "1", "--rounds", "1"),
    ("wide.py", "--steps", "1", "--rounds", "1", "--rows", "2600,26000", "--dense-at", "26000"),
    ("encoding.py", "--rows", "2000", "--rounds", "1"),
    ("long.py", "--rows", "1", "--piece", "2000"),
    ("predict.py", "--rows", "2000", "--rounds", "1", "--some", "3000"),
    ("start.py", "--rounds", "1", "--some", "3000"),
    ("fork.py", "--rounds", "1", "--tasks", "2"),
    ("exact.py", "--rounds", "1", "--rows", "26000", "--torchjd-at", "26000"),
    ("solvers.py", "--rounds", "2", "--tasks", "2,4"),
    ("loop_overhead.py", "--rows", "4000", "--rounds", "1"),
    ("null_comparison.py", "--tables", "1", "--rows", "200", "--seeds", "2"),
    ("planted.py", "--seeds", "1", "--rows", "600"),
    ("synthetic.py", "--seeds", "2", "--steps", "3"),
    ("toy.py", "--steps", "5"),
    ("architectures.py", "simulated", "--seeds", "1", "--only", "shared_bottom,mmoe,one task alone"),
)
"""Every script at a size that tells only whether it runs."""


class Ended(NamedTuple):
    """What became of a script.

    Attributes:
        line: the object that it printed last; None if it failed.
        why: what it said last, then.
    """

    line: dict[str, Any] | None
    why: str


def run(folder: Path, script: str, *arguments: str) -> Ended:
    """A script, with all that it prints on the way."""
    last = ""
    command = [sys.executable, str(folder / script), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            last = text.strip() or last
    try:
        line = json.loads(last)
        if process.returncode == 0 and isinstance(line, dict) and "figures" in line:
            return Ended(line, "")
    except ValueError:
        pass
    return Ended(None, f"status {process.returncode}: {last}")


def run_all(runs: Sequence[Sequence[str]], folder: Path) -> int:
    """All of them, and the table; how many failed."""
    table: list[str] = []
    failed: list[str] = []
    began = time.perf_counter()
    for script, *arguments in runs:
        started = time.perf_counter()
        print(f"\n== {' '.join((script, *arguments))}", flush=True)
        line, why = run(folder, script, *arguments)
        took = f"{time.perf_counter() - started:.0f} s"
        if line is None:
            failed.append(script)
            table.append(f"{script:18}FAILED, {why[:76]:84}{'':7}{took:>6}")
            continue
        for one in read(line):
            held = "yes" if one.held else "NO"
            table.append(f"{script:18}{one.figure:66}{one.found:9.3f}  {one.wanted:10}{held:7}{took:>6}")
            took = ""
        table += [f"{script:18}left out: {name}" for name in line.get("left_out", ())]
    print(f"\n{'script':18}{'figure':66}{'found':>9}  {'goal':10}{'holds':7}{'took':>6}")
    print("\n".join(table))
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return len(failed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="those to run; all by default")
    parser.add_argument("--smoke", action="store_true", help="every script, those of quality too, at toy size")
    asked = parser.parse_args()
    runs = SMOKE if asked.smoke else RUNS
    unknown = set(asked.scripts) - {script for script, *_ in runs}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    chosen = [one for one in runs if not asked.scripts or one[0] in asked.scripts]
    sys.exit(1 if run_all(chosen, Path(__file__).parent) else 0)


if __name__ == "__main__":
    main()
