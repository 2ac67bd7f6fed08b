"""The end of `trunkline train`: what the estimates are worth, and that looking at it harms nothing."""

import json
import re
from dataclasses import replace

import pytest

from trunkline.cli.ended import _praise
from trunkline.insight.diagnosis import after_training
from trunkline.insight.diagnosis.record import read_record
from trunkline.insight.statistics.intervals import Interval


def trained(trunkline, *options):
    return trunkline(
        "train", "config.yaml", "--out", "run", "--overwrite", "--set", "training.epochs=2", "--set",
        "training.device=cpu", *options,
    )  # fmt: skip


@pytest.fixture
def asked(folder, trunkline):
    status, _, _ = trunkline(
        "init",
        "train.csv",
        "--task",
        "click",
        "--task",
        "dwell:regression",
        "--valid",
        "valid.csv",
        "-o",
        "config.yaml",
    )
    assert status == 0
    return folder


def test_tasks_stand_beside_a_linear_model_and_findings_follow(asked, trunkline):
    status, out, _ = trained(trunkline)
    assert status == 0
    table = out[out.index("beside a linear model") :]
    assert re.search(
        r"^click +120 +auc +0\.\d{4} ± 0\.\d{4} +0\.\d{4} +[+-]0\.\d{4} ± 0\.\d{4} *$", table, re.MULTILINE
    )
    assert re.search(r"^1\. \[\d\.\d\d\] \w+: |^findings: none", table, re.MULTILINE)
    assert table.rstrip().endswith("run: run")
    kept = json.loads((asked / "run" / "quality.json").read_text())
    assert kept["tasks"].keys() == {"click", "dwell"}
    status, out, _ = trunkline("diagnose", "run", "--json", "--try", "0")
    assert status == 0
    assert "tasks no better than a constant" in json.loads(out)["looked"]


def test_quiet_measures_nothing(asked, trunkline):
    status, out, err = trained(trunkline, "--quiet")
    assert (status, out, err) == (0, "", "")
    assert not (asked / "run" / "quality.json").exists()


def test_an_interrupt_while_it_looks_leaves_the_run_whole(asked, trunkline, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(after_training, "assess", interrupted)
    status, out, _ = trained(trunkline)
    assert status == 0
    assert "trunkline diagnose finds them later" in out
    assert (asked / "run" / "metrics.json").exists()


def test_without_validation_rows_it_says_so(folder, trunkline):
    assert trunkline("init", "train.csv", "--task", "click", "-o", "config.yaml")[0] == 0
    text = (folder / "config.yaml").read_text()
    assert "split" in text
    status, out, _ = trained(trunkline, "--set", "data.split=null")
    assert status == 0
    assert "none can be made without validation rows" in out


def test_nothing_is_praised_of_which_nothing_is_known(asked, trunkline):
    assert trained(trunkline, "--try", "0")[0] == 0
    click, dwell = read_record(asked / "run", ["click", "dwell"]).tasks.values()
    assert _praise([click, dwell]) == "; every task beats a constant, and no linear model is better"
    for unknown in (replace(click, score=None), replace(click, rows=19), replace(click, score=Interval(0.9))):
        assert _praise([unknown, dwell]) == "; nothing is known of click"
