"""Corrections of estimates: against scipy and scikit-learn, and through a whole run."""

import json
import math
import sys

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from trunkline import Config, Model, UserError, fit
from trunkline.inference.calibration import (
    CALIBRATORS,
    WIDEST,
    Isotonic,
    Platt,
    Temperature,
    check_calibration,
    fit_calibrators,
    read_calibrators,
    write_calibrators,
)
from trunkline.tasks import TASK_KINDS, Binary, Multiclass, Regression

CLICK, TOPIC = Binary(name="click"), Multiclass(name="topic", classes=4)


def rows(task, n=300, *, seed=0, sureness=2.5, weighted=True):
    """Raw outputs that are `sureness` times too sure of themselves; labels; weights."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, task.outputs, generator=generator)
    if task.outputs == 1:
        label = (torch.rand(n, generator=generator) < logits[:, 0].sigmoid()).float()
    else:
        label = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0].float()
    weight = torch.rand(n, generator=generator) * 4 if weighted else torch.ones(n)
    return logits * sureness, label, weight


def log_loss(task, raw, label, weight):
    losses = task.loss(raw.double(), label.double()) * weight.double()
    return float(losses.sum() / weight.double().sum())


@pytest.mark.parametrize("task", [CLICK, TOPIC], ids=["binary", "multiclass"])
@pytest.mark.parametrize("sureness", [0.05, 1.0, 2.5, 400.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_is_the_one_of_least_log_loss(task, sureness, weighted):
    raw, label, weight = rows(task, sureness=sureness, weighted=weighted)
    found = Temperature.fit(task, raw, label, weight).factor
    best = minimize_scalar(
        lambda log_factor: log_loss(task, raw.double() * math.exp(log_factor), label, weight),
        bounds=(-WIDEST, WIDEST),
        method="bounded",
        options={"xatol": 1e-9},
    )
    # A minimum is found to the root of machine epsilon, over the root of a curvature that is .001 or more here.
    assert math.log(found) == pytest.approx(best.x, abs=1e-6)
    for near in (0.999, 1.001):
        best, other = raw.double() * found, raw.double() * found * near
        assert log_loss(task, best, label, weight) < log_loss(task, other, label, weight)
    assert log_loss(task, raw * found, label, weight) <= log_loss(task, raw, label, weight)


def test_rows_count_as_often_as_their_weights_say():
    raw, label, _ = rows(CLICK)
    weight = torch.randint(0, 4, (len(raw),), generator=torch.Generator().manual_seed(1))
    times = [tensor.repeat_interleave(weight, dim=0) for tensor in (raw, label)]
    weighed = Temperature.fit(CLICK, raw, label, weight.float())
    repeated = Temperature.fit(CLICK, *times, torch.ones(len(times[0])))
    assert weighed.factor == pytest.approx(repeated.factor, rel=1e-9)
    assert Temperature.fit(CLICK, raw, label, weight.float() * 1e6).factor == pytest.approx(weighed.factor, rel=1e-9)


@pytest.mark.parametrize("task", [CLICK, TOPIC], ids=["binary", "multiclass"])
def test_a_temperature_changes_no_order(task):
    raw, label, weight = rows(task)
    made = Temperature.fit(task, raw, label, weight)(raw)
    assert made.dtype == raw.dtype
    assert made.flatten().argsort().equal(raw.flatten().argsort())
    assert made.argmax(1).equal(raw.argmax(1))


SEPARABLE = {
    "apart": (torch.tensor([-0.5, -2.0, 0.1, 3.0]), torch.tensor([0.0, 0.0, 1.0, 1.0])),
    "far apart": (torch.tensor([-900.0, 900.0]), torch.tensor([0.0, 1.0])),
    "the wrong way round": (torch.tensor([-0.5, -2.0, 0.1, 3.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])),
    "one class": (torch.tensor([-0.5, -2.0, 0.1]), torch.tensor([0.0, 0.0, 0.0])),
    "one row": (torch.tensor([0.3]), torch.tensor([1.0])),
    "all logits 0": (torch.zeros(3), torch.tensor([0.0, 1.0, 1.0])),
}


@pytest.mark.parametrize(("raw", "label"), SEPARABLE.values(), ids=SEPARABLE)
def test_rows_without_a_best_temperature_end_at_a_bound(raw, label):
    weight = torch.ones(len(raw))
    found = Temperature.fit(CLICK, raw[:, None], label, weight)
    assert math.exp(-WIDEST) * (1 - 1e-9) <= found.factor <= math.exp(WIDEST) * (1 + 1e-9)
    before = log_loss(CLICK, raw[:, None], label, weight)
    after = log_loss(CLICK, found(raw[:, None]), label, weight)
    assert math.isfinite(after)
    assert after <= before + 1e-12
    assert found(raw[:, None]).isfinite().all()


@pytest.mark.parametrize(("raw", "label"), SEPARABLE.values(), ids=SEPARABLE)
def test_platts_line_of_such_rows_is_finite_and_no_worse_than_even(raw, label):
    found = Platt.fit(CLICK, raw[:, None], label, torch.ones(len(raw)))
    assert found(raw[:, None]).isfinite().all()
    assert log_loss(CLICK, found(raw[:, None]), label, torch.ones(len(raw))) <= math.log(2) + 1e-4


def test_separable_rows_are_told_apart_and_misled_ones_called_even():
    for name, loss in (("apart", 0.0), ("far apart", 0.0), ("the wrong way round", math.log(2))):
        raw, label = SEPARABLE[name]
        found = Temperature.fit(CLICK, raw[:, None], label, torch.ones(len(raw)))
        assert log_loss(CLICK, found(raw[:, None]), label, torch.ones(len(raw))) == pytest.approx(loss, abs=1e-4)


@pytest.mark.parametrize("sureness", [0.05, 1.0, 2.5, 40.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_platts_line_is_scikit_learns_logistic_regression_on_his_labels(sureness, weighted):
    raw, label, weight = rows(CLICK, sureness=sureness, weighted=weighted)
    raw, weight = raw.double() + 1.5, weight.double() / weight.double().mean()
    found = Platt.fit(CLICK, raw, label, weight * 7)  # the weights' size plays no part
    above, below = float(weight[label == 1].sum()), float(weight[label == 0].sum())
    target = torch.from_numpy(np.where(label == 1, (above + 1) / (above + 2), 1 / (below + 2)))
    twice = np.concatenate([raw.numpy(), raw.numpy()])
    says = np.concatenate([np.ones(len(raw)), np.zeros(len(raw))])
    counts = torch.cat([weight * target, weight * (1 - target)]).numpy()
    theirs = LogisticRegression(C=1e12, tol=1e-10, max_iter=2000).fit(twice / sureness, says, sample_weight=counts)
    assert found.factor * sureness == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert found.shift == pytest.approx(theirs.intercept_[0], rel=1e-4, abs=1e-4)
    made = found(raw)[:, 0].sigmoid()
    assert float((made * weight).sum()) == pytest.approx(float((target * weight).sum()), rel=1e-9)


def test_platts_line_keeps_the_order_and_corrects_the_sum():
    raw, label, weight = rows(CLICK, n=4000, weighted=False)
    found = Platt.fit(CLICK, raw + 2, label, weight)
    made = found(raw + 2)
    assert made[:, 0].argsort().equal(raw[:, 0].argsort())
    # His labels are off by one row in n of either label.
    assert float(made[:, 0].sigmoid().mean()) == pytest.approx(float(label.mean()), abs=2 / 4000)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("ties", [False, True])
def test_isotonic_is_scikit_learns_inside_the_clip(seed, ties):
    raw, label, weight = rows(CLICK, seed=seed)
    raw = raw.round(decimals=0) if ties else raw
    found = Isotonic.fit(CLICK, raw, label, weight)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(raw[:, 0].double(), label.double(), weight.double())
    least = 1 / (len(raw) + 2)
    made = found(raw.double())[:, 0].sigmoid().numpy()
    np.testing.assert_allclose(made, theirs.predict(raw[:, 0].double()).clip(least, 1 - least), atol=1e-9)
    # between two of their steps lies what lies between them, and beyond the rows what is at their end
    new = torch.linspace(-20, 20, 3001, dtype=torch.float64)
    p = found(new[:, None])[:, 0].sigmoid().numpy()
    assert (np.diff(p) >= -1e-12).all()
    assert p[0] == pytest.approx(made.min())
    assert p[-1] == pytest.approx(made.max())
    assert p.min() >= least - 1e-12
    assert p.max() <= 1 - least + 1e-12


def test_isotonic_never_says_never():
    raw, label = torch.linspace(-3, 3, 8)[:, None], (torch.arange(8) > 3).float()
    found = Isotonic.fit(CLICK, raw, label, torch.ones(8))
    p = found(torch.tensor([[-1e30], [1e30]]))[:, 0].double().sigmoid()
    torch.testing.assert_close(p, torch.tensor([0.1, 0.9], dtype=torch.float64))


@pytest.mark.parametrize("n", [1, 2])
def test_isotonic_of_few_rows(n):
    found = Isotonic.fit(CLICK, torch.zeros(n, 1), torch.ones(n), torch.ones(n))
    assert found(torch.tensor([[-3.0], [0.0], [9.0]])).sigmoid().flatten().tolist() == pytest.approx(
        [(n + 1) / (n + 2)] * 3
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_corrections_keep_shape_and_dtype(dtype, n):
    for one in (Temperature(0.5), Isotonic((-1.0, 1.0), (-0.5, 2.0))):
        made = one(torch.zeros(n, 1, dtype=dtype))
        assert (made.shape, made.dtype) == ((n, 1), dtype)


def test_only_observed_rows_count():
    raw, label, weight = rows(CLICK)
    kept = torch.arange(len(raw)) % 3 > 0
    for how in ("null", "weight 0"):
        given, weights = label.clone(), weight.clone()
        if how == "null":
            given[~kept] = math.nan
        else:
            weights[~kept] = 0
            given[~kept] = 1
        spoiled = torch.where(kept[:, None], raw, math.nan)
        for kind, calibrator in CALIBRATORS.items():
            found = fit_calibrators({"click": kind}, [CLICK], {"click": spoiled}, {"click": given}, {"click": weights})
            assert found == {"click": calibrator.fit(CLICK, raw[kept], label[kept], weight[kept])}
    nothing = torch.full_like(label, math.nan)
    assert fit_calibrators({"click": "temperature"}, [CLICK], {"click": raw}, {"click": nothing}, {}) == {}
    assert fit_calibrators({"click": "none"}, [CLICK], {"click": raw}, {"click": label}, {}) == {}


BOTH = {"click": Temperature(1 / 3), "buy": Isotonic((-1.0, 0.1, math.pi), (-2.0, -2.0, 1e-17))}


def test_corrections_go_through_json(tmp_path):
    path = tmp_path / "calibration.json"
    write_calibrators(path, BOTH)
    assert read_calibrators(path) == BOTH
    write_calibrators(path, {})
    assert read_calibrators(path) == {}


DAMAGED = {
    "cut": None,
    "empty": "",
    "a list": "[]",
    "an unknown kind": '{"click": {"kind": "platt", "factor": 1}}',
    "no kind": '{"click": {"factor": 1}}',
    "nothing to it": '{"click": {"kind": "temperature"}}',
    "too much": '{"click": {"kind": "temperature", "factor": 1, "more": 2}}',
    "no mapping": '{"click": 3}',
    "text": '{"click": {"kind": "temperature", "factor": "high"}}',
    "null": '{"click": {"kind": "temperature", "factor": null}}',
    "not a number": '{"click": {"kind": "temperature", "factor": NaN}}',
    "not above 0": '{"click": {"kind": "temperature", "factor": 0}}',
    "unequal lengths": '{"click": {"kind": "isotonic", "logits": [0, 1], "corrected": [0]}}',
    "no steps": '{"click": {"kind": "isotonic", "logits": [], "corrected": []}}',
    "falling": '{"click": {"kind": "isotonic", "logits": [1, 0], "corrected": [0, 1]}}',
}


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_says_so(tmp_path, text):
    path = tmp_path / "calibration.json"
    write_calibrators(path, BOTH)
    path.write_text(path.read_text()[:-20] if text is None else text)
    with pytest.raises(UserError, match=r"calibration\.json cannot be read: "):
        read_calibrators(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(UserError, match=r"calibration\.json cannot be read: "):
        read_calibrators(tmp_path / "calibration.json")


def test_each_kind_is_told_what_suits_it():
    for kind, task in TASK_KINDS.items():
        one = task(name="t")
        fitting = [name for name, calibrator in CALIBRATORS.items() if task in calibrator.tasks]
        for name in CALIBRATORS:
            if name in fitting:
                check_calibration({"t": name}, [one], valid=True)
            else:
                expected = f"tasks.t.calibrate: {name} does not suit a {kind} task; for it there is "
                with pytest.raises(UserError, match=expected + (" and ".join(fitting) or "none")):
                    check_calibration({"t": name}, [one], valid=True)


def test_all_problems_come_at_once():
    tasks = [CLICK, TOPIC, Regression(name="dwell")]
    asked = {"click": "isotonic", "topic": "isotonic", "dwell": "temperature"}
    with pytest.raises(UserError) as found:
        check_calibration(asked, tasks, valid=False)
    assert [problem.split(":")[0] for problem in found.value.problems] == [
        f"tasks.{name}.calibrate" for name in ("click", "topic", "dwell")
    ]
    assert "needs validation rows; give data.valid or a split" in found.value.problems[0]
    check_calibration({}, tasks, valid=False)


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(160, seed=0), "valid": make_rows(80, seed=1), "test": make_rows(60, seed=2)}


@pytest.fixture
def calibrated(settings):
    settings["tasks"]["click"] |= {"calibrate": "temperature"}
    settings["tasks"]["topic"] |= {"calibrate": "temperature"}
    settings["tasks"]["buy"] |= {"calibrate": "isotonic", "space": "click", "reads": []}
    return settings


@pytest.fixture(autouse=True)
def _possible(parts):
    """No purchase without a click."""
    for part, frame in parts.items():
        parts[part] = frame.with_columns(buy=pl.col("buy") * pl.col("click"))


def test_a_config_that_asks_for_what_cannot_be(settings, parts, tmp_path):
    overrides = {"tasks.click.calibrate": "temperature", "tasks.dwell.calibrate": "isotonic"}
    with pytest.raises(UserError) as found:
        fit(settings, train=parts["train"], out=tmp_path / "run", overrides=overrides)
    assert len(found.value.problems) == 2
    assert not (tmp_path / "run").exists()
    with pytest.raises(
        UserError, match=r"tasks\.click\.calibrate: 'beta' is not one of none, temperature, platt, isoto"
    ):
        Config.make(settings, overrides={"tasks.click.calibrate": "beta"})


def test_a_split_gives_rows_to_calibrate_on(calibrated, parts):
    calibrated["data"] = {"split": {"by": "random", "valid": 0.3, "test": 0}}
    assert set(fit(calibrated, train=parts["train"]).calibrators) == {"click", "buy", "topic"}


def test_without_scikit_learn_isotonic_is_refused_before_anything_is_trained(calibrated, parts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.isotonic", None)
    with pytest.raises(UserError, match=r"task buy: calibrate isotonic needs scikit-learn .*trunkline\[calibration\]"):
        fit(calibrated, **parts, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(UserError, match="needs scikit-learn"):
        Isotonic.fit(CLICK, torch.zeros(1, 1), torch.ones(1), torch.ones(1))
    fit(calibrated, **parts, overrides={"tasks.buy.calibrate": "none"})


def test_a_run_writes_corrections_and_uses_them_everywhere(calibrated, settings, parts, tmp_path):
    model = fit(calibrated, **parts, out=tmp_path / "run")
    plain = fit(
        calibrated, **parts, overrides={f"tasks.{name}.calibrate": "none" for name in ("click", "buy", "topic")}
    )
    assert not plain.calibrators
    assert "uncalibrated" not in plain.metrics
    assert not (plain.path / "calibration.json").exists()
    assert set(json.loads((tmp_path / "run" / "calibration.json").read_text())) == {"click", "buy", "topic"}
    assert model.calibrators == read_calibrators(tmp_path / "run" / "calibration.json")

    for part in ("valid", "test"):
        before, after = plain.metrics[part], model.metrics[part]
        # what no correction touches, and what was before it, is what there is without
        assert model.metrics["uncalibrated"][part] == {name: before[name] for name in ("click", "buy", "topic")}
        assert {name: after[name] for name in ("dwell", "buy|click")} == {
            name: before[name] for name in ("dwell", "buy|click")
        }
        assert after["click"]["auc"] == pytest.approx(before["click"]["auc"], abs=1e-9)
    for name in ("click", "topic"):
        assert model.metrics["valid"][name]["log_loss"] <= plain.metrics["valid"][name]["log_loss"] + 1e-9
    assert model.metrics["valid"]["buy"]["calibration"] == pytest.approx(1, abs=0.05)

    one, other = plain(parts["test"]), model(parts["test"])
    factor = model.calibrators["click"].factor
    logit = np.log(one["click"].to_numpy().astype(float) / (1 - one["click"].to_numpy().astype(float)))
    np.testing.assert_allclose(other["click"].to_numpy(), 1 / (1 + np.exp(-factor * logit)), rtol=1e-4)
    same = [name for name in one.columns if name.startswith("dwell")] + ["buy_given_click"]
    assert_frame_equal(other.select(same), one.select(same))
    assert other["topic"].to_list() == one["topic"].to_list()
    assert not other["topic_art"].equals(one["topic_art"])

    loaded = Model.load(tmp_path / "run", device="cpu")
    assert_frame_equal(loaded(parts["test"]), other)
    found = loaded.evaluate(parts["test"])
    assert {name: found[name] for name in found} == {
        name: pytest.approx(scores, abs=1e-5) for name, scores in model.metrics["test"].items()
    }
    # scores of a prediction are the scores reported
    joint = parts["test"]["buy"].to_numpy().astype(float)
    p = other["buy"].to_numpy().astype(float)
    expected = -(joint * np.log(p) + (1 - joint) * np.log(1 - p)).mean()
    assert model.metrics["test"]["buy"]["log_loss"] == pytest.approx(expected, abs=1e-5)


def test_a_resumed_run_has_the_same_corrections(calibrated, parts, tmp_path):
    def stop(line):
        if "valid" in line and line["epoch"] == 0:
            raise KeyboardInterrupt

    straight = fit(calibrated, **parts, out=tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        fit(calibrated, **parts, out=tmp_path / "cut", on_line=stop)
    assert not (tmp_path / "cut" / "calibration.json").exists()
    resumed = fit(calibrated, **parts, out=tmp_path / "cut", resume=True)
    assert resumed.calibrators == straight.calibrators
    assert resumed.metrics["test"] == straight.metrics["test"]
    assert fit(calibrated, **parts, out=tmp_path / "cut", resume=True).calibrators == straight.calibrators
    with pytest.raises(UserError, match="needs validation rows"):
        fit(calibrated, train=parts["train"], out=tmp_path / "cut", resume=True)
    with pytest.raises(UserError, match=r"tasks\S* is .* and was "):
        fit(calibrated, **parts, out=tmp_path / "cut", resume=True, overrides={"tasks.click.calibrate": "none"})


def test_corrections_of_an_older_epoch_are_not_kept_beside_a_newer_one(calibrated, parts, tmp_path):
    def stop(line):
        if "valid" in line and line["best"]:
            raise KeyboardInterrupt

    overrides = {"training.epochs": 9, "training.select": "click.log_loss"}
    fit(calibrated, **parts, out=tmp_path / "run", overrides={**overrides, "training.epochs": 1})
    with pytest.raises(KeyboardInterrupt):
        fit(calibrated, **parts, out=tmp_path / "run", resume=True, overrides=overrides, on_line=stop)
    assert Model.load(tmp_path / "run").calibrators == {}


def test_overwrite_removes_old_corrections(calibrated, settings, parts, tmp_path):
    fit(calibrated, **parts, out=tmp_path / "run")
    none = {f"tasks.{name}.calibrate": "none" for name in ("click", "buy", "topic")}
    model = fit(calibrated, **parts, out=tmp_path / "run", overwrite=True, overrides=none)
    assert not (tmp_path / "run" / "calibration.json").exists()
    assert not model.calibrators


def test_a_damaged_file_stops_a_model_from_loading(calibrated, parts, tmp_path):
    fit(calibrated, **parts, out=tmp_path / "run")
    path = tmp_path / "run" / "calibration.json"
    path.write_text(path.read_text()[:-9])
    with pytest.raises(UserError, match=r"calibration\.json cannot be read"):
        Model.load(tmp_path / "run")
