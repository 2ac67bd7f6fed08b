import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml

import trunkline
from trunkline import Tuning, UserError, fit, tune
from trunkline.config import Config

SPACE = {
    "optimizer.lr": {"low": 0.001, "high": 0.3, "log": True},
    "network.dropout": {"low": 0.0, "high": 0.4},
    "balance.objective": ["sum", "uncertainty"],
}


@pytest.fixture(scope="module")
def frames(make_rows):
    rows = make_rows(300)
    return {"train": rows[:200], "valid": rows[200:250], "test": rows[250:]}


def config(*, epochs=2, tasks=("click", "buy"), more=None, **options):
    return {
        "data": {"store": "none"},
        "features": {"user": "categorical", "price": "numeric"},
        "tasks": dict.fromkeys(tasks, "binary"),
        "network": {"sharing": {"hidden": [8]}},
        "optimizer": {"lr": 0.0005},  # outside the space
        "training": {"epochs": epochs, "batch_size": 50, "patience": None, "device": "cpu"},
        "tune": {"space": SPACE, "objectives": ["click"], "trials": 8, **options},
        **(more or {}),
    }


def read(folder, name="study.json"):
    return json.loads((folder / name).read_text())


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and a != b


def test_the_best_trial_is_the_best_and_its_config_trains_to_the_same_scores(frames, tmp_path):
    found = tune(config(prune=False), out=tmp_path / "s", jobs=1, **frames)
    assert [trial.state for trial in found.trials] == ["complete"] * 8
    scores = [trial.scores["click.auc"] for trial in found.trials]
    assert len(set(scores)) > 3
    assert found.best.scores["click.auc"] == found.best.values["click.auc"] == max(scores)
    assert len({str(trial.overrides) for trial in found.trials}) == 8
    again = fit(tmp_path / "s" / "best.yaml", train=frames["train"], valid=frames["valid"])
    assert again.metrics["valid"]["click"]["auc"] == found.best.scores["click.auc"]
    plain = fit({**config(), "tune": None}, train=frames["train"], valid=frames["valid"])
    assert plain.metrics["valid"]["click"]["auc"] == found.config["click.auc"]


def test_nothing_is_scored_on_the_test_rows(frames, tmp_path):
    tune(config(trials=2), out=tmp_path / "s", jobs=1, **frames)
    runs = list((tmp_path / "s" / "runs").glob("*/seed0/metrics.json"))
    assert len(runs) == 3
    assert all("valid" in json.loads(run.read_text()) and "test" not in json.loads(run.read_text()) for run in runs)


def test_the_front_is_what_no_other_trial_beats(frames, tmp_path):
    found = tune(
        config(objectives=["click", "buy.log_loss"], guardrails={"buy.log_loss": {"at_most": 0.5}}, trials=12),
        out=tmp_path / "s",
        jobs=1,
        **frames,
    )
    complete = [trial for trial in found.trials if trial.state == "complete"]
    kept = [trial for trial in complete if trial.scores["buy.log_loss"] <= 0.5]
    assert 0 < len(kept) < len(complete), "the guardrail has to tell trials apart for this test to mean anything"
    points = {trial.number: (trial.scores["click.auc"], -trial.scores["buy.log_loss"]) for trial in kept}
    front = {a for a, point in points.items() if not any(dominates(other, point) for other in points.values())}
    assert {trial.number for trial in found.chosen} == front
    assert {path.stem for path in (tmp_path / "s" / "front").glob("*.yaml")} == {t.run for t in found.chosen}
    assert all((trial.broken != {}) == (trial.scores["buy.log_loss"] > 0.5) for trial in complete)
    assert [t.scores["click.auc"] for t in found.chosen] == sorted((points[n][0] for n in front), reverse=True)
    with pytest.raises(UserError, match="there is a front"):
        _ = found.best


def test_a_guardrail_on_what_the_config_reaches_is_kept(frames, tmp_path):
    options = {
        "objectives": None,
        "utility": {"buy": 1.0},
        "guardrails": {"click": {"may_lose": 0.0}},
        "prune": False,
        "trials": 10,
    }
    found = tune(config(**options), out=tmp_path / "s", jobs=1, **frames)
    own = found.config["click.auc"]
    assert all((trial.scores["click.auc"] < own) == bool(trial.broken) for trial in found.trials)
    kept = [trial for trial in found.trials if not trial.broken]
    assert 0 < len(kept) < 10
    assert found.best.scores["buy.auc"] == max(trial.scores["buy.auc"] for trial in kept)


def test_where_every_trial_breaks_a_guardrail_none_is_the_best(frames, tmp_path):
    found = tune(config(guardrails={"buy": {"at_least": 1.01}}, trials=3), out=tmp_path / "s", jobs=1, **frames)
    assert (found.best, found.chosen) == (None, [])
    assert not (tmp_path / "s" / "best.yaml").exists()


def test_a_config_that_lies_in_the_space_is_the_first_trial_and_costs_nothing(frames, tmp_path):
    inside = config(trials=2, more={"optimizer": {"lr": 0.01}, "balance": {"objective": "sum"}})
    found = tune(inside, out=tmp_path / "s", jobs=1, **frames)
    assert found.trials[0].scores == found.config
    assert found.trials[0].overrides == {"optimizer.lr": 0.01, "network.dropout": 0.0, "balance.objective": "sum"}
    assert sorted(run.parent.name for run in (tmp_path / "s" / "runs").glob("*/seed0")) == ["0001", "config"]


def test_scores_are_the_means_over_the_seeds(frames, tmp_path):
    found = tune(config(trials=1, seeds=3), out=tmp_path / "s", jobs=1, **frames)
    (trial,) = found.trials
    runs = [tmp_path / "s" / "runs" / trial.run / f"seed{seed}" for seed in range(3)]
    scores = [read(run, "metrics.json")["valid"]["click"]["auc"] for run in runs]
    assert len(set(scores)) == 3
    assert trial.scores["click.auc"] == pytest.approx(sum(scores) / 3)
    assert [Config.make(run / "config.yaml").training.seed for run in runs] == [0, 1, 2]


def test_what_is_behind_ends_early_and_may_not_be_chosen(frames, tmp_path):
    found = tune(config(trials=20, epochs=4, sampler="random"), out=tmp_path / "s", jobs=1, **frames)
    pruned = [trial for trial in found.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.epochs < 4 or trial.epochs == 4 for trial in pruned)
    assert any(trial.epochs < 4 for trial in pruned)
    assert not any(trial.chosen or trial.scores for trial in pruned)
    whole = tune(config(trials=20, epochs=4, sampler="random", prune=False), out=tmp_path / "all", jobs=1, **frames)
    assert [trial.overrides for trial in whole.trials] == [trial.overrides for trial in found.trials]
    assert whole.best.number == found.best.number


def test_the_same_seed_searches_the_same_points_and_another_one_others(frames):
    one, same = (tune(config(trials=3), jobs=1, **frames) for _ in range(2))
    other = tune(config(trials=3), jobs=1, overrides={"training.seed": 1}, **frames)
    assert [trial.overrides for trial in one.trials] == [trial.overrides for trial in same.trials]
    assert [trial.scores for trial in one.trials] == [trial.scores for trial in same.trials]
    assert [trial.overrides for trial in one.trials] != [trial.overrides for trial in other.trials]


def test_more_trials_go_on_with_what_is_there_and_do_none_of_it_again(frames, tmp_path):
    first = tune(config(trials=3), out=tmp_path / "s", jobs=1, **frames)
    stamps = {run: run.stat().st_mtime_ns for run in (tmp_path / "s" / "runs").glob("*/seed0/metrics.json")}
    told = []
    more = tune(config(), trials=5, out=tmp_path / "s", jobs=1, on_start=lambda *n: told.append(n), **frames)
    assert told == [(5, 3)]
    assert more.trials[:3] == first.trials or [t.overrides for t in more.trials[:3]] == [
        t.overrides for t in first.trials
    ]
    assert len(more.trials) == 5
    assert len({str(trial.overrides) for trial in more.trials}) == 5
    assert {run: run.stat().st_mtime_ns for run in stamps} == stamps
    assert Tuning.load(tmp_path / "s") == more


def test_optunas_own_tools_read_the_study(frames, tmp_path):
    found = tune(config(trials=3), out=tmp_path / "s", jobs=1, **frames)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tmp_path / 's' / 'study.db'}")
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.best_value == found.best.values["click.auc"]
    assert [trial.params for trial in study.trials] == [trial.overrides for trial in found.trials]
    assert all(len(trial.intermediate_values) == 2 for trial in study.trials)


def test_a_trial_that_cannot_be_trained_is_told_and_the_others_go_on(frames, tmp_path):
    space = {"optimizer.lr": [0.01, 1e30], "network.dropout": {"low": 0.0, "high": 0.1}}
    found = tune(config(space=space, trials=8, sampler="random"), out=tmp_path / "s", jobs=1, **frames)
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert {trial.overrides["optimizer.lr"] for trial in failed} == {1e30}
    assert all("not a number" in trial.problem or "not numbers" in trial.problem for trial in failed)
    assert len(failed) + sum(trial.state == "complete" for trial in found.trials) == 8
    assert found.best.overrides["optimizer.lr"] == 0.01


def test_a_config_that_cannot_be_trained_stops_the_search_only_where_a_guardrail_asks(frames, tmp_path):
    broken = {"more": {"optimizer": {"lr": 1e30}}, "trials": 1}
    with pytest.raises(UserError, match="the config itself cannot be trained"):
        tune(config(**broken, guardrails={"click": {"may_lose": 0.1}}), out=tmp_path / "a", jobs=1, **frames)
    found = tune(config(**broken), out=tmp_path / "b", jobs=1, **frames)
    assert (found.config, len(found.trials)) == (None, 1)


def test_rates_of_subnets_that_an_architecture_does_not_have_are_left_out(frames, tmp_path):
    space = {
        "network.sharing": [{"kind": "shared_bottom", "hidden": [8]}, {"kind": "mmoe", "hidden": [8], "experts": 2}],
        'optimizer.subnets."gate.*".lr': {"low": 0.001, "high": 0.1},
    }
    found = tune(config(space=space, trials=8, sampler="random", prune=False), out=tmp_path / "s", jobs=1, **frames)
    assert [trial.state for trial in found.trials] == ["complete"] * 8
    rates = {
        trial.overrides["network.sharing"]["kind"]: list(
            Config.make(tmp_path / "s" / "runs" / trial.run / "seed0" / "config.yaml").optimizer.subnets
        )
        for trial in found.trials
    }
    assert rates == {"shared_bottom": [], "mmoe": ["gate.*"]}
    misspelt = {'optimizer.subnets."tower.clik".lr': {"low": 0.001, "high": 0.1}}
    with pytest.raises(UserError, match=r"tune.space.*tower\.clik"):
        tune(config(space=misspelt), out=tmp_path / "t", jobs=1, **frames)


def test_what_cannot_work_is_told_before_anything_is_written(frames, tmp_path):
    with pytest.raises(UserError, match="no tune section") as caught:
        tune({**config(), "tune": None}, out=tmp_path / "s", **frames)
    assert yaml.safe_load(caught.value.problems[0].partition("\n")[2])["tune"]["space"]
    with pytest.raises(UserError) as caught:
        tune(config(objectives=["clik"], space={"optimizer.lr": 3}), jobs=0, seconds=-1, out=tmp_path / "s", **frames)
    told = "\n".join(caught.value.problems)
    assert all(words in told for words in ("jobs is 0", "seconds is -1", "'clik'", "tune.space.optimizer.lr"))
    with pytest.raises(UserError, match="needs validation rows"):
        tune(config(), out=tmp_path / "s", train=frames["train"])
    assert not (tmp_path / "s").exists()


def test_without_optuna_the_remedy_is_told(frames, tmp_path, monkeypatch):
    monkeypatch.setattr("trunkline.tuning.tune.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'trunkline\[tune\]'"):
        tune(config(), out=tmp_path / "s", **frames)


def test_a_folder_of_something_else_is_left_alone(frames, tmp_path):
    tune(config(trials=1), out=tmp_path / "s", jobs=1, **frames)
    changed = config(trials=1, space={**SPACE, "network.dropout": {"low": 0.0, "high": 0.5}})
    with pytest.raises(UserError, match="holds a study of another config: tune differ"):
        tune(changed, out=tmp_path / "s", jobs=1, **frames)
    with pytest.raises(UserError, match="rows differ"):
        tune(config(trials=1), out=tmp_path / "s", jobs=1, **frames | {"train": frames["train"][:100]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="something else than a study"):
        tune(config(), out=tmp_path / "other", jobs=1, **frames)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        tune(config(), out=tmp_path / "file", jobs=1, **frames)


def test_no_further_trial_is_begun_when_the_time_is_up(frames, tmp_path):
    found = tune(config(trials=10_000), out=tmp_path / "s", jobs=1, seconds=2, **frames)
    assert 0 < len(found.trials) < 10_000


SEARCH = """
import sys
import polars as pl
import trunkline

def event(event):
    if event.line and "epoch" in event.line:
        print("epoch", event.line["trial"], event.line["epoch"], flush=True)
    elif event.line:
        print("ended", event.line["trial"], flush=True)
    if event.problem:
        print("problem", event.problem, flush=True)

if __name__ == "__main__":
    rows = {part: pl.read_parquet(f"{part}.parquet") for part in ("train", "valid")}
    found = trunkline.tune("search.yaml", out="s", jobs=int(sys.argv[1]), on_event=event,
                           on_start=lambda *n: print("started", *n, flush=True), **rows)
    print("finished", len(found.trials), len({str(t.overrides) for t in found.trials}), flush=True)
"""


@pytest.fixture
def begin(frames, tmp_path):
    """Begin, join or go on with a study in a process of its own."""
    begun = []

    def begin(*, jobs=1, **options):
        for part, frame in frames.items():
            frame.write_parquet(tmp_path / f"{part}.parquet")
        (tmp_path / "search.py").write_text(SEARCH)
        (tmp_path / "search.yaml").write_text(yaml.safe_dump(config(**options)))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(trunkline.__file__).parents[1])}
        command = [sys.executable, "-W", "error", "search.py", str(jobs)]
        begun.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        process.stdout.close()


def until(process, word):
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(word):
            return lines
    raise AssertionError(lines)


def epochs_of(run):
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [line["epoch"] for line in lines if "valid" in line]


def test_several_processes_join_one_study(begin, tmp_path):
    both = [begin(trials=10, epochs=10, prune=False, jobs=jobs) for jobs in (2, 1)]
    told = [until(process, "finished") for process in both]
    assert [lines[-1] for lines in told] == [told[0][-1]] * 2
    _, trials, points = told[0][-1].split()
    assert trials == points == "10"
    ended = [line for lines in told for line in lines if line.startswith("ended")]
    assert len(ended) == len(set(ended)) == int(trials)
    assert not any(line.startswith("problem") for lines in told for line in lines)
    assert all(sum(line.startswith("ended") for line in lines) > 0 for lines in told)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_or_ctrl_c_the_trial_goes_on_from_its_checkpoint(begin, tmp_path, number):
    first = begin(trials=3, epochs=40, prune=False)
    until(first, "ended 0")
    until(first, "epoch 1 20")
    first.send_signal(number)
    first.wait(timeout=60)
    done = {run.parent.parent.name for run in (tmp_path / "s" / "runs").glob("*/seed0/metrics.json")}
    assert done == {"config", "0000"}
    run = tmp_path / "s" / "runs" / "0001" / "seed0"
    before = (run / "history.jsonl").read_text().splitlines()[:20]

    told = until(begin(trials=3, epochs=40, prune=False), "finished")
    assert told[0] == "started 3 1"
    assert told[-1] == "finished 3 3"
    assert (run / "history.jsonl").read_text().splitlines()[:20] == before
    assert epochs_of(run) == list(range(40))
    assert "epoch 0 0" not in told
    found = Tuning.load(tmp_path / "s")
    assert len({trial.run for trial in found.trials}) == 3
    assert [trial.state for trial in found.trials] == ["complete"] * 3
