"""What is said at the end of a training: of labels that are noise, of networks that learn badly, and of sound ones."""

import json

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from trunkline import diagnose, fit
from trunkline.insight.diagnosis.after_training import judge
from trunkline.insight.diagnosis.findings import Change, Finding
from trunkline.insight.diagnosis.record import FILE, read_record
from trunkline.insight.diagnosis.trials import TAIL, _sure, try_changes
from trunkline.insight.statistics.jackknife import Groups, interval
from trunkline.insight.statistics.weighted import r2

CONFIG = {
    "tasks": {"click": "binary", "noise": "binary", "dwell": "regression"},
    "network": {"sharing": {"kind": "shared_bottom", "hidden": [16]}, "towers": {"hidden": [8]}},
    "optimizer": {"lr": 0.01},
    "training": {"epochs": 4, "batch_size": 64, "patience": None},
}


def table(rows, seed):
    draw = np.random.default_rng(seed)
    x, user = draw.normal(size=(rows, 3)), draw.integers(0, 12, rows)
    score = x @ [1.5, -1.0, 0.5] + (user % 3) - 1
    return pl.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "c": x[:, 2],
            "user": [f"u{one}" for one in user],
            "click": (draw.random(rows) < 1 / (1 + np.exp(-score))).astype(int),
            "noise": draw.integers(0, 2, rows),
            "dwell": score + draw.normal(size=rows),
        }
    )


TRAIN, VALID = table(2500, 0), table(1200, 1)


def ended(folder, changes=None, *, seconds=0.0, train=TRAIN, valid=VALID, config=CONFIG):
    """The verdict at the end of a training, and its model."""
    kept, frames = {}, {"train": train, "valid": valid}
    model = fit(
        config,
        **frames,
        out=folder / "run",
        overrides=changes,
        on_trained=lambda model, data: kept.update(verdict=judge(model, data, seconds=seconds, frames=frames)),
    )
    return kept["verdict"], model


def kinds(verdict):
    return {(finding.kind, finding.subject) for finding in verdict.findings}


def test_a_label_of_noise_is_no_better_than_a_constant_and_the_others_are(tmp_path):
    verdict, model = ended(tmp_path)
    assert kinds(verdict) & {("no_better_than_constant", task) for task in CONFIG["tasks"]} == {
        ("no_better_than_constant", "noise")
    }
    estimates = model(VALID)
    scores = {
        "click": roc_auc_score(VALID["click"], estimates["click"]),
        "noise": roc_auc_score(VALID["noise"], estimates["noise"]),
        "dwell": r2_score(VALID["dwell"], estimates["dwell"]),
    }
    for name, score in scores.items():
        quality = verdict.tasks[name]
        assert quality.score.value == pytest.approx(score, abs=1e-6)
        assert quality.score.low < score < quality.score.high
        assert quality.rows == len(VALID)
    ratio = float(estimates["click"].sum() / VALID["click"].sum())
    assert verdict.tasks["click"].calibration.ratio == pytest.approx(ratio, rel=1e-6)
    assert verdict.tasks["dwell"].r2.value == pytest.approx(scores["dwell"], abs=1e-6)


def test_a_network_that_hardly_learns_is_worse_than_a_linear_model_and_what_helps_was_tried(tmp_path):
    verdict, _ = ended(tmp_path, {"training.batch_size": 2500, "training.epochs": 2, "optimizer.lr": 1e-3}, seconds=1e9)
    worse = {finding.subject: finding for finding in verdict.findings if finding.kind == "worse_than_linear"}
    assert {"click", "dwell"} <= set(worse)
    (tried,) = worse["click"].tried
    assert tried.helps
    assert tried.change == "training.batch_size: 64"
    kept = read_record(tmp_path / "run", verdict.tasks)
    assert kept.tasks == verdict.tasks
    assert kept.tell(verdict.findings) == list(verdict.findings)


def test_what_was_measured_and_tried_is_told_again_by_diagnose(tmp_path):
    verdict, model = ended(tmp_path, {"training.batch_size": 2500, "training.epochs": 2}, seconds=1e9)
    before = (model.path / FILE).stat().st_mtime_ns
    again = diagnose(model, train=TRAIN, valid=VALID)
    mine = [finding for finding in again.findings if finding.kind in {one.kind for one in verdict.findings}]
    assert mine == list(verdict.findings)
    assert (model.path / FILE).stat().st_mtime_ns == before
    (model.path / FILE).unlink()
    anew = diagnose(model.path, train=TRAIN, valid=VALID)
    assert {(f.kind, f.subject) for f in anew.findings} == {(f.kind, f.subject) for f in again.findings}
    assert all(finding.tried == () for finding in anew.findings if finding.kind != "miscalibrated")
    assert not (model.path / FILE).exists()
    (model.path / FILE).write_text("{")
    assert read_record(model.path, model.tasks) is None


def test_estimates_that_are_off_in_sum_are_told_and_a_line_that_corrects_them_is_tried(tmp_path):
    biased = TRAIN.with_columns(click=pl.when(pl.int_range(pl.len()) % 3 > 0).then(1).otherwise(pl.col("click")))
    verdict, _ = ended(tmp_path, train=biased)
    (finding,) = [f for f in verdict.findings if (f.kind, f.subject) == ("miscalibrated", "click")]
    assert [one.change for one in finding.tried if one.helps] == ["tasks.click.calibrate: platt"]
    corrected, _ = ended(tmp_path / "next", {"tasks.click.calibrate": "platt"}, train=biased)
    assert ("miscalibrated", "click") not in kinds(corrected)
    assert corrected.tasks["click"].calibration.ratio == pytest.approx(1, abs=0.01)


def test_a_network_that_learns_ids_by_heart_overfits(tmp_path):
    rows = TRAIN.head(600).with_columns(user=pl.int_range(pl.len()).cast(pl.String))
    changes = {"training.epochs": 12, "network.sharing.hidden": [64], "features.user.dim": 16}
    config = CONFIG | {
        "features": {"user": {"kind": "categorical"}, "a": {"kind": "numeric"}},
        "tasks": {"click": "binary"},
    }
    verdict, model = ended(tmp_path, changes, train=rows, config=config)
    (finding,) = [f for f in verdict.findings if f.kind == "overfitting"]
    curve = [line["valid"]["click"]["log_loss"] for line in model.history if "valid" in line]
    assert finding.evidence["epochs"] == curve
    assert f"from epoch {int(np.argmin(curve)) + 2} on" in finding.sentence
    assert finding.changes[0].path == "optimizer.subnets.embedding.lr"


def test_a_change_that_wrecks_probabilities_or_another_task_does_not_count_as_help(tmp_path):
    kept = {}
    model = fit(CONFIG, train=TRAIN, valid=VALID, out=tmp_path / "run", on_trained=lambda _, data: kept.update(d=data))
    frames = {"train": TRAIN, "valid": VALID}

    def tried(*changes, subject="dwell"):
        asked = Finding(
            kind="x", weight=0.5, subject=subject, sentence="1", evidence={}, remedy="a: b", changes=tuple(changes)
        )
        return try_changes([asked], model, kept["d"].stores, seconds=1e9, frames=frames)[0].tried

    (spoiled,) = tried(Change("optimizer.lr", 1e-6))
    assert not spoiled.helps
    assert "worse by" in spoiled.sentence
    assert "click's probabilities get worse" in spoiled.sentence
    (refused,) = tried(Change("optimizer.name", "nothing"))
    assert (refused.helps, refused.known) == (False, False)
    assert "optimizer.name" in refused.sentence
    (other,) = tried(Change("tasks.dwell.kind", "laplace"))
    assert "dwell" in other.sentence
    assert "can be said" not in other.sentence
    assert len(tried(*(Change("optimizer.lr", 1e-6 * i) for i in range(1, 6)))) == 3  # of as many as may be trained
    assert try_changes([], model, kept["d"].stores, seconds=0) == []


def test_there_is_no_trial_without_time_and_no_measure_without_validation_rows(tmp_path):
    verdict, _ = ended(tmp_path, {"training.batch_size": 2500, "training.epochs": 2})
    assert all(not one.tried for finding in verdict.findings for one in [finding] if finding.kind != "miscalibrated")
    without, _ = ended(tmp_path / "other", valid=None)
    assert without.tasks == {}
    assert without.findings == ()


@pytest.mark.parametrize("rows", [1, 15])
def test_a_few_validation_rows_tell_nothing_and_have_nothing_tried(tmp_path, rows):
    verdict, _ = ended(tmp_path, {"training.epochs": 6}, valid=VALID.head(rows), seconds=1e9)
    assert kinds(verdict) == {("small_validation", task) for task in CONFIG["tasks"]}


@pytest.mark.parametrize("calibrate", ["none", "platt", "temperature", "isotonic"])
def test_validation_rows_of_one_class_calibrate_nothing_and_advise_nothing(tmp_path, calibrate, caplog):
    valid = VALID.filter(pl.col("click") == 1).head(60)
    changes = {"training.epochs": 4, "tasks.click.calibrate": calibrate}
    verdict, model = ended(tmp_path, changes, valid=valid, seconds=1e9)
    assert model.calibrators == {}
    assert ("validation rows have labels of one class" in caplog.text) == (calibrate != "none")
    assert not {kind for kind, task in kinds(verdict) if task == "click"}


def test_tasks_with_weights_are_not_said_to_be_off_in_sum(tmp_path):
    weighted = [
        frame.with_columns(w=pl.when(pl.col("click") == 1).then(1.0).otherwise(5.0)) for frame in (TRAIN, VALID)
    ]
    config = CONFIG | {"tasks": {"click": {"kind": "binary", "weight": "w"}}}
    verdict, model = ended(tmp_path, train=weighted[0], valid=weighted[1], config=config)
    assert model(VALID)["click"].sum() < 0.8 * VALID["click"].sum()  # as the weights ask for
    assert verdict.tasks["click"].calibration is None
    assert "miscalibrated" not in {kind for kind, _ in kinds(verdict)}


@pytest.mark.parametrize("rows", [24, 60, 400])
def test_what_is_no_better_seldom_seems_to_help(rows):
    """Two predictions equally good: of many pairs hardly one is said to help."""
    draw, helped, pairs = np.random.default_rng(rows), 0, 400
    for i in range(pairs):
        label = draw.normal(size=rows)
        one, other = (label + draw.normal(size=rows) for _ in range(2))
        groups = Groups(rows, np.random.default_rng(i))
        scores = [groups.scores(r2(guess, label), np.arange(rows)) for guess in (one, other)]
        helped += _sure(interval(scores[1] - scores[0]), 1)
    assert helped <= 4 * TAIL * pairs


def test_a_record_of_other_tasks_is_none_and_orders_to_a_terminal_are_not_printed(tmp_path):
    verdict, model = ended(tmp_path)
    path = model.path / FILE
    raw = json.loads(path.read_text())
    path.write_text(json.dumps(raw | {"tasks": {"nope": raw["tasks"]["click"]}}))
    assert read_record(model.path, model.tasks) is None
    assert diagnose(model, train=TRAIN, valid=VALID).findings
    evil = {"change": "x\x1b[31m", "helps": True, "sentence": "\x1b]0;title\x07", "known": True}
    tried = {finding.kind: {finding.subject: [evil]} for finding in verdict.findings}
    assert tried
    path.write_text(json.dumps(raw | {"tried": tried}))
    text = str(diagnose(model, train=TRAIN, valid=VALID))
    assert "x\ufffd[31m" in text
    assert "\x1b" not in text


def test_missing_labels_weights_classes_and_wheres_are_measured(tmp_path):
    def messy(frame, seed):
        draw = np.random.default_rng(seed)
        return frame.with_columns(
            topic=pl.Series(draw.choice(["x", "y", "z"], len(frame))),
            click=pl.when(pl.Series(draw.random(len(frame)) < 0.3)).then(None).otherwise(pl.col("click")),
            weight=pl.Series(draw.random(len(frame)) * 3),
            none=pl.lit(None, dtype=pl.Float64) if seed else pl.Series(draw.normal(size=len(frame))),
        )

    tasks = {
        "click": {"kind": "binary", "weight": "weight"},
        "topic": "multiclass",
        "dwell": {"kind": "regression", "where": "click"},
        "none": "regression",
    }
    train, valid = messy(TRAIN, 0), messy(VALID, 1)
    verdict, _ = ended(tmp_path, train=train, valid=valid, config=CONFIG | {"tasks": tasks})
    assert set(verdict.tasks) == {"click", "topic", "dwell"}
    assert verdict.tasks["click"].rows == valid["click"].count()
    assert verdict.tasks["dwell"].rows == int((valid["click"] == 1).sum())
    assert ("no_better_than_constant", "topic") in kinds(verdict)
    assert json.loads((tmp_path / "run" / FILE).read_text())["tasks"].keys() == verdict.tasks.keys()
