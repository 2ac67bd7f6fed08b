"""Memory is bounded by what a table and its network need: what is beyond that works, or is refused before it is had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trunkline.assembly import memory
from trunkline.assembly.checks import check_subnets
from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.nn.inputs import Inputs

SCRIPT = Path(__file__).with_name("bounded.py")
MOST = {
    "a_million_values": 900,
    "a_thousand_columns a_thousand_tasks": 500,
    "values_of_10_megabytes": 900,
    "a_batch_larger_than_the_table networks_too_large": 200,
}
"""Megabytes beyond those of a training of next to nothing; two to three times what was measured."""


def peak(what):
    """The most memory of a process that does something, in MB."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), *what.split()],
        env={**os.environ, "TRUNKLINE_STORE": "none"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return int(done.stdout.split()[-1])


@pytest.fixture(scope="module")
def least():
    return peak("nothing")


@pytest.mark.parametrize("what", MOST)
def test_memory_is_bounded(what, least):
    assert peak(what) - least < MOST[what]


RAW = {
    "data": {"train": "rows.csv"},
    "tasks": {"y": "binary"},
    "network": {"sharing": {"hidden": [1000, 1000]}, "towers": {"hidden": [10]}},
}
INPUTS = Inputs(rows=(50,), widths=(4,), numbers=1, quantiles=((0.0, 1.0),), names=("user",))


def check(room, monkeypatch, **settings):
    monkeypatch.setattr(memory, "memory", lambda: room)
    config = Config.make({**RAW, **settings})
    return check_subnets(config, build_tasks(config), INPUTS)


@pytest.mark.parametrize(("optimizer", "times"), [("adamw", 4), ("adam", 4), ("sgd", 3)])
def test_what_is_wanted_is_parameters_gradients_and_the_optimisers_own(optimizer, times, monkeypatch):
    count = 6 * 1000 + 1001 * 1000 + 1001 * 10 + 11 + 50 * 4
    config = {"optimizer": {"name": optimizer}}
    wanted = count * 4 * times
    check(wanted, monkeypatch, **config)
    with pytest.raises(UserError, match=r"network\.sharing\.hidden \[1000, 1000\]: the network wants at least 0\.0 GB"):
        check(wanted - 1, monkeypatch, **config)


def test_a_row_sparse_table_counts_once(monkeypatch):
    config = {"network": {**RAW["network"], "embedding": {"sparse_above": 10}}}
    count = 6 * 1000 + 1001 * 1000 + 1001 * 10 + 11
    check(count * 16 + 50 * 4 * 4, monkeypatch, **config)
    with pytest.raises(UserError, match="make it smaller"):
        check(count * 16 + 50 * 4 * 4 - 1, monkeypatch, **config)


def test_the_limit_of_a_container_is_found(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("123456\n")
    (tmp_path / "none").write_text("max\n")
    monkeypatch.setattr(memory, "LIMITS", (str(tmp_path / "memory.max"), str(tmp_path / "none"), "absent"))
    assert memory.memory() == 123456
    monkeypatch.setattr(memory, "LIMITS", (str(tmp_path / "none"),))
    assert memory.memory() > 1 << 28
