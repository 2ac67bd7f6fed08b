import json

import pytest
import yaml


@pytest.fixture
def small(folder, edit):
    """Two tasks, next to no training, and a space."""
    raw = yaml.safe_load((folder / "feed.yaml").read_text())
    edit(
        tasks={"click": "binary", "dwell": {"kind": "regression", "where": "click"}},
        training=raw["training"] | {"epochs": 1, "batch_size": 120},
        tune={
            "space": {"optimizer.lr": {"low": 0.02, "high": 0.3, "log": True}},
            "utility": {"click": 1, "dwell.rmse": 0.001},
            "guardrails": {"dwell.rmse": {"may_lose": 1000}},
            "trials": 3,
        },
    )
    return folder


def test_a_study_is_shown_kept_and_gone_on_with(small, trunkline):
    status, out, err = trunkline("tune", "feed.yaml", "--jobs", "1")
    assert status == 0
    assert "the config itself, then 3 trials" in err
    assert "3 of 3: trial 2  click.auc 0." in err
    assert "3 trials (3 complete); one seed each; rows: 120 train, 120 valid" in out
    assert "the best utility" in out
    assert "study: studies/feed" in out
    assert "trunkline compare studies/feed/best.yaml" in out
    place = small / "studies" / "feed"
    found = json.loads((place / "study.json").read_text())
    (best,) = [trial for trial in found["trials"] if trial["chosen"]]
    assert f"trial {best['number']}: optimizer.lr={best['overrides']['optimizer.lr']:.4g}" in out
    assert yaml.safe_load((place / "best.yaml").read_text())["optimizer"]["lr"] == best["overrides"]["optimizer.lr"]
    text = (place / "study.md").read_text()
    assert all(f"{trial['values']['utility']:.4f}" in text for trial in found["trials"])
    assert f"{found['config']['click.auc']:.4f}" in out

    status, again, err = trunkline("tune", "feed.yaml", "--jobs", "1", "--quiet")
    assert (status, again, err) == (0, out, "")
    status, more, err = trunkline("tune", "feed.yaml", "--jobs", "1", "--trials", "4", "--minutes", "5")
    assert status == 0
    assert "then 4 trials, 3 of them done already" in err
    assert "4 trials (4 complete)" in more
    status, _, err = trunkline("tune", "feed.yaml", "--set", "network.dropout=0.5")
    assert status == 2
    assert "network differ" in err


def test_a_front_is_shown_with_a_config_for_each_trial(small, trunkline, edit):
    edit(tune={"space": {"optimizer.lr": [0.02, 0.1, 0.3]}, "objectives": ["click", "dwell"], "trials": 3})
    status, out, _ = trunkline("tune", "feed.yaml", "--jobs", "1", "--out", "s", "--quiet")
    assert status == 0
    assert "the front of click.auc, dwell.r2" in out
    chosen = [trial for trial in json.loads((small / "s" / "study.json").read_text())["trials"] if trial["chosen"]]
    assert {path.stem for path in (small / "s" / "front").iterdir()} == {trial["run"] for trial in chosen}
    assert max(map(len, out.splitlines()[3:])) <= 120


def test_where_nothing_can_be_chosen_the_status_is_1(small, trunkline, edit):
    edit(tune={"space": {"optimizer.lr": [0.02]}, "guardrails": {"click": {"at_least": 1.01}}, "trials": 1})
    status, _, err = trunkline("tune", "feed.yaml", "--jobs", "1")
    assert status == 1
    assert "breaks: click.auc at least 1.01" in err
    assert "no trial keeps the guardrails" in err
    edit(tune={"space": {"optimizer.lr": [1.0e30]}, "trials": 1})
    status, out, err = trunkline("tune", "feed.yaml", "--jobs", "1", "--out", "t")
    assert status == 1
    assert "failed: " in err
    assert "1 failed" in out
    assert "no trial came to a good end" in err


def test_everything_wrong_is_told_before_anything_is_trained(small, trunkline, edit):
    edit(tune={"space": {"optimizer.lr": {"low": 3}, "network.dropout": [7]}, "objectives": ["clik"]})
    status, _, err = trunkline("tune", "feed.yaml")
    assert status == 2
    assert err.count("error: ") == 2
    assert "high is missing" in err
    assert "did you mean 'click'" in err
    edit(tune=None)
    status, _, err = trunkline("tune", "feed.yaml")
    assert status == 2
    assert "no tune section" in err
    assert not (small / "studies").exists()
