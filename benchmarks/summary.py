"""Every benchmark of speed, one after the other, and at the end a table of figures and limits.

The arguments below keep the whole under a quarter of an hour on two cores; each script alone measures more by default.
Ends with status 1 if a script fails, and not if a limit is missed: on a machine that does other work besides, a figure
says little, and the one to mend is seen in the table.

Run: python benchmarks/summary.py [census.py long.py …]
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wide import DENSE_OVER_OURS, LONGEST_OVER_SHORTEST

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


class Figure(NamedTuple):
    """One line of the table; `limit` says on which side of it the figure has to be."""

    name: str
    found: float
    limit: str
    held: bool


def at_least(name: str, found: float, limit: float) -> Figure:
    return Figure(name, found, f">= {limit:g}", found >= limit)


def at_most(name: str, found: float, limit: float) -> Figure:
    return Figure(name, found, f"<= {limit:g}", found <= limit)


def figures(line: dict[str, Any]) -> Iterator[Figure]:
    """What a script's last line says of its limits."""
    match line["benchmark"]:
        case "census":
            for network, limits in line["limits"].items():
                yield from (over_rival(one, f"{network}: ") for one in limits)
        case "wide":
            yield from map(over_rival, line["limits"])
        case "wide by length":
            yield at_most("a step, longest tables / shortest", line["longest_over_shortest"], LONGEST_OVER_SHORTEST)
            yield at_least("a step, dense Adam / trunkline", line["dense_over_trunkline"], DENSE_OVER_OURS)
        case "fork":
            yield at_most("a step, worst method / plain sum", line["worst_of_ours"], line["limit"])
        case "exact":
            for rows, took in line["least_ms_and_mib"].items():
                name = f"a step at {int(rows):,} rows, exact / plain"
                yield at_most(name, took["exact"] / took["plain"], line["limit_exact_over_plain"])
        case "solvers":
            yield at_most("calls slower than 1 ms or torchjd's", len(line["missed"]), 0)
        case _:
            for one in line["limits"]:
                yield (at_least if "least" in one else at_most)(
                    one["figure"], one["found"], one.get("least", one.get("most"))
                )


def over_rival(one: dict[str, Any], where: str = "") -> Figure:
    return at_least(f"{where}{one['contestant']} / {one['rival']}", one["of_medians"], one["least"])


def left_out(line: dict[str, Any]) -> list[str]:
    """Contestants that were not there."""
    names = line.get("left_out", [])
    return sorted(set(names) if isinstance(names, list) else {name for each in names.values() for name in each})


def run(script: str, *arguments: str) -> dict[str, Any] | None:
    """Its last line, after all it prints; None if it fails."""
    last = ""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script)), *arguments], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            last = text
    try:
        return json.loads(last) if process.returncode == 0 else None
    except ValueError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="those to run; all by default")
    asked = parser.parse_args()
    unknown = set(asked.scripts) - {script for script, *_ in RUNS}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    table: list[str] = []
    failed: list[str] = []
    began = time.perf_counter()
    for script, *arguments in RUNS:
        if asked.scripts and script not in asked.scripts:
            continue
        started = time.perf_counter()
        print(f"\n== {' '.join((script, *arguments))}", flush=True)
        line = run(script, *arguments)
        took = f"{time.perf_counter() - started:.0f} s"
        if line is None:
            failed.append(script)
            table.append(f"{script:18}{'failed':66}{'':>9}  {'':10}{'':7}{took:>6}")
            continue
        for name, found, limit, held in figures(line):
            table.append(f"{script:18}{name:66}{found:9.3f}  {limit:10}{'yes' if held else 'NO':7}{took:>6}")
            took = ""
        table += [f"{script:18}left out: {name}" for name in left_out(line)]
    print(f"\n{'script':18}{'figure':66}{'found':>9}  {'limit':10}{'holds':7}{'took':>6}")
    print("\n".join(table))
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
