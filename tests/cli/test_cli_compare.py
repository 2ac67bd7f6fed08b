import json

import pytest
import yaml


@pytest.fixture
def small(folder, edit):
    """Two tasks, and next to no training."""
    raw = yaml.safe_load((folder / "feed.yaml").read_text())
    edit(
        tasks={"click": "binary", "dwell": {"kind": "regression", "where": "click"}},
        training=raw["training"] | {"epochs": 1, "batch_size": 120},
    )
    return folder


def test_a_comparison_is_shown_kept_and_not_done_again(small, trunkline):
    command = ("compare", "feed.yaml", "--vary", "balance.objective=sum,famo", "--seeds", "2", "--jobs", "1")
    status, out, err = trunkline(*command, "--set", "optimizer.lr=0.02")
    assert status == 0
    assert "10 runs" in err
    assert "10 of 10: " in err
    assert "2 seeds; rows: 120 train, 120 valid, 120 test" in out
    assert "click: auc on 120 test rows" in out
    assert "dwell: r2 on" in out
    assert "all tasks" in out
    assert "comparison: comparisons/feed" in out
    assert max(map(len, out.splitlines())) <= 80
    place = small / "comparisons" / "feed"
    found = json.loads((place / "comparison.json").read_text())
    assert [network["label"] for network in found["networks"]] == ["alone", "config", "sum", "famo"]
    assert found["seeds"] == [0, 1]
    assert out.split("comparison: comparisons/feed")[1].split() == found["sentence"].split()  # the last word
    text = (place / "comparison.md").read_text()
    assert "## click: auc on 120 test rows" in text
    assert "| famo | " in text
    for network in found["networks"]:
        assert f"{network['tasks']['click']['mean']['value']:.4f}" in out
        assert f"{network['tasks']['click']['mean']['value']:.4f}" in text

    stamps = {path: path.stat().st_mtime_ns for path in place.rglob("test.safetensors")}
    status, again, err = trunkline(*command, "--set", "optimizer.lr=0.02", "--quiet")
    assert (status, again, err) == (0, out, "")
    assert {path: path.stat().st_mtime_ns for path in place.rglob("test.safetensors")} == stamps

    status, _, err = trunkline(*command, "--set", "optimizer.lr=0.03")
    assert status == 2
    assert "optimizer differ" in err


def test_everything_wrong_is_told_before_anything_is_trained(small, trunkline):
    status, _, err = trunkline("compare", "feed.yaml", "--vary", "balance.objective", "--set", "optimizer.lr")
    assert status == 2
    assert err.count("error: ") == 2
    status, _, err = trunkline(
        "compare", "feed.yaml", "--vary", "balance.objective=fame", "--vary", "optimizer.lr=fast,0.1"
    )
    assert status == 2
    assert "did you mean 'famo'" in err
    assert "optimizer.lr=fast: " in err
    assert not (small / "comparisons").exists()


def test_a_run_that_fails_ends_with_status_1(small, trunkline):
    status, out, err = trunkline(
        "compare", "feed.yaml", "--vary", "optimizer.lr=1.0e+30", "--seeds", "1", "--jobs", "1", "--out", "c", "--quiet"
    )
    assert status == 1
    assert "seed 0: failed: " in err
    assert "missing: optimizer.lr=1.0e+30 seed 0" in out
    assert "one seed cannot tell" in out
