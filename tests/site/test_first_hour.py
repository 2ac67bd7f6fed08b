"""A new user's first hour, as the page tells it: every command in order, and what `init` says to the letter."""

import re
from contextlib import chdir

import first_hour
import polars as pl
import pytest

TEXT = first_hour.PAGE.read_text(encoding="utf-8")
RENEW = "write it anew with python tests/site/first_hour.py"


def words(text):
    """What is printed without its figures, which differ between processors, and without the columns' widths."""
    return re.sub(r"[\d.,…]+", "#", " ".join(text.split()))


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """Each command with what the page shows below it and what it printed; one epoch stands for all."""
    folder = tmp_path_factory.mktemp("first_hour")
    with chdir(folder):
        first_hour.write_scripts(TEXT)
        found = [
            (command, shown, first_hour.run(command, more=("--set", "training.epochs=1")))
            for language, block in first_hour.blocks(TEXT)
            if language == "console"
            for command, shown in first_hour.commands(block)
        ]
    return folder, found


def test_every_command_runs_and_the_last_ones_leave_estimates(walked):
    folder, found = walked
    ran = [command.split()[:2] for command, _, printed in found if printed is not None]
    assert [command[1] for command in ran if command[0] == "trunkline"] == ["init", "train", "diagnose", "predict"]
    orders, estimates = (
        pl.read_csv(folder / name, separator=mark) for name, mark in (("orders.csv", ";"), ("estimates.csv", ","))
    )
    assert estimates["Order ID"].to_list() == orders["Order ID"].to_list()
    assert {"Returned", "Refund", "Rating"} < {*estimates.columns}
    assert estimates["Returned"].is_between(0, 1).all()


def test_the_page_shows_what_is_printed(walked):
    """Of a training only its begin and the run's place, because how many epochs it takes is the processor's too."""
    _, found = walked
    for command, shown, printed in found:
        if printed is None:
            continue
        if "train" in command:
            assert words(shown.splitlines()[0]) == words(printed.splitlines()[0]), RENEW
            assert "run: runs/orders" in shown.splitlines(), RENEW
            assert "run: runs/orders" in printed.splitlines(), RENEW
        elif "diagnose" in command:
            assert shown.strip(), RENEW
        elif "estimates" in command:
            assert shown.splitlines()[0] == printed.splitlines()[0], RENEW
        else:
            assert words(shown) == words(printed), f"{command}: {RENEW}"
