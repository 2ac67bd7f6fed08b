"""Every benchmark runs, at toy size, and says of each figure which goal it has."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import goals
import pytest
import summary

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def scripts():
    """What can be run, by its last lines."""
    found = {path.name for path in BENCHMARKS.glob("*.py") if 'if __name__ == "__main__":' in path.read_text()}
    return found - {"summary.py"}


def test_every_script_has_a_smoke_run():
    assert len(scripts()) >= 15
    assert scripts() == {script for script, *_ in summary.SMOKE}
    assert {script for script, *_ in summary.RUNS} <= scripts()


@pytest.mark.parametrize("run", summary.SMOKE, ids=lambda run: " ".join(run))
def test_it_runs_and_each_figure_has_its_goal(run, tmp_path):
    script, *arguments = run
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"TRUNKLINE_STORE": str(tmp_path), "OMP_NUM_THREADS": "1", "TRUNKLINE_DATA": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    line = json.loads(done.stdout.strip().splitlines()[-1])
    figures = goals.read(line)
    assert figures or line["left_out"]
    for one in figures:
        assert math.isfinite(one.found)
        assert math.isfinite(one.goal)
        assert f"{one.figure}: " in done.stdout
        assert f"goal {one.wanted}" in done.stdout


def test_a_script_that_fails_stops_no_other_and_is_named(tmp_path, capsys):
    (tmp_path / "bad.py").write_text("raise SystemExit('no luck today')\n")
    (tmp_path / "silent.py").write_text("")
    (tmp_path / "odd.py").write_text("print('{\"benchmark\": 1}')\n")
    good = "import json\nprint(json.dumps({'benchmark': 'good', 'figures': [{'figure': 'f', 'found': 2.0, "
    (tmp_path / "good.py").write_text(good + "'goal': {'at_least': 1.5}, 'held': True}]}))\n")
    assert summary.run_all([("bad.py",), ("good.py",), ("silent.py",), ("odd.py",)], tmp_path) == 3
    told = capsys.readouterr()
    table = told.out[told.out.index("script  ") :]
    assert "FAILED, status 1: no luck today" in table
    assert "good.py           f" in table
    assert ">= 1.5" in table
    assert "failed: bad.py, silent.py, odd.py" in told.err


@pytest.mark.parametrize(("found", "least", "held"), [(2.0, True, True), (2.0, False, False), (1.5, False, True)])
def test_a_goal_is_held_on_its_side(found, least, held, capsys):
    made = (goals.at_least if least else goals.at_most)("f", found, 1.5)
    assert made.held is held
    goals.finish("b", [made], why=1)
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert goals.read(line) == [made]
    assert line["figures"][0]["held"] is held
    assert line["why"] == 1


def test_no_figure_and_nobody_left_out_is_no_result():
    with pytest.raises(AssertionError):
        goals.finish("b", [])
