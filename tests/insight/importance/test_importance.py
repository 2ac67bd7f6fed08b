"""Permutation importance: held to scikit-learn's, to columns permuted in the user's table, and to fresh rows."""

import json
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
import torch
from scipy import stats
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.inspection import permutation_importance
from sklearn.metrics import roc_auc_score

from trunkline import UserError, fit
from trunkline.insight.importance.permutation import feature_names, permuted_estimates, permuted_features, run_network
from trunkline.insight.importance.permutation_importance import importance
from trunkline.insight.statistics.jackknife import Groups, interval
from trunkline.insight.statistics.weighted import auc
from trunkline.tables import Batch
from trunkline.tasks import TASK_KINDS

NOISE = 40
QUICK = {"batch_size": 100, "patience": None, "device": "cpu"}


def drop_of(found, task, feature):
    return found.tasks[task].features[feature]


# groups and intervals


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 17, 200, 1001])
def test_every_row_is_given_another_of_its_group(rows):
    groups = Groups(rows, np.random.default_rng(rows))
    sizes = np.bincount(groups.of, minlength=groups.count)
    assert sizes.max() - sizes.min() <= 1
    permutation = groups.permutation()
    assert sorted(permutation) == list(range(rows))
    assert (groups.of[permutation] == groups.of).all()
    assert ((permutation != np.arange(rows)) | (sizes[groups.of] == 1)).all()


def test_any_other_row_of_the_group_is_as_likely():
    groups = Groups(10, np.random.default_rng(0))
    made = np.array([groups.permutation() for _ in range(4000)])
    mates = np.flatnonzero(groups.of == groups.of[0])
    counts = [int((made[:, 0] == mate).sum()) for mate in mates if mate != 0]
    assert len(counts) == 4
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("elements", [None, 700])
def test_scores_are_those_of_the_rows_that_are_left(monkeypatch, elements):
    if elements is not None:
        monkeypatch.setattr("trunkline.insight.statistics.jackknife._ELEMENTS", elements)
    draw = np.random.default_rng(0)
    groups, rows = Groups(300, draw), np.sort(draw.choice(300, 210, replace=False))
    label, value = (draw.random(210) < 0.3).astype(float), draw.normal(size=210).round(1)
    found = groups.scores(auc(value, label), rows)
    assert found[0] == pytest.approx(roc_auc_score(label, value))
    for group in range(groups.count):
        left = groups.of[rows] != group
        assert found[1 + group] == pytest.approx(roc_auc_score(label[left], value[left]))


def test_the_interval_of_a_mean_is_students_of_the_groups_means():
    draw = np.random.default_rng(1)
    groups, values = Groups(500, draw), draw.normal(size=500)
    found = interval(groups.scores(lambda weights: values @ weights / weights.sum(0), np.arange(500)))
    means = [values[groups.of == group].mean() for group in range(groups.count)]
    wanted = stats.t.interval(0.95, len(means) - 1, loc=np.mean(means), scale=stats.sem(means))
    assert (found.low, found.high) == pytest.approx(wanted)


def test_what_is_not_defined_has_no_interval():
    assert interval(np.array([np.nan, 1.0, 2.0])) is None
    some = interval(np.array([1.0, np.nan, 2.0]))
    assert (some.value, some.low, some.high) == (1.0, None, None)


# what is moved


def every_column(rows, seed):
    draw = np.random.default_rng(seed)
    bags = [draw.integers(0, 9, size).tolist() for size in draw.integers(0, 4, rows)]
    frame = pl.DataFrame(
        {
            "word": [f"w{i}" for i in draw.integers(0, 5, rows)],
            "item": draw.integers(0, 30, rows),
            "bag": bags,
            "history": bags[::-1],
            "price": draw.normal(size=rows),
            "flag": draw.random(rows) < 0.5,
            "vector": pl.Series(draw.normal(size=(rows, 3)), dtype=pl.Array(pl.Float64, 3)),
            "time": [datetime(2024, 1, 1) + timedelta(hours=float(h)) for h in draw.random(rows) * 9000],
            "click": draw.integers(0, 2, rows),
            "buy": draw.integers(0, 2, rows),
            "pay": draw.random(rows),
        }
    )
    hidden = [pl.when(pl.Series(draw.random(rows) > 0.2)).then(name).alias(name) for name in ("word", "price", "flag")]
    return frame.with_columns(*hidden, buy=pl.col("buy") * pl.col("click"))


EVERY = {
    "features": {
        "word": "categorical",
        "item": {"kind": "hashed", "rows": 16},
        "bag": "bag",
        "history": {"kind": "sequence", "target": "item", "pool": "attention"},
        "price": "numeric",
        "flag": "boolean",
        "vector": "vector",
        "time": "datetime",
    },
    "tasks": {
        "click": "binary",
        "buy": {"kind": "binary", "space": "click"},
        "pay": {"kind": "regression", "reads": ["buy", "click"]},
    },
    "training": {"epochs": 1, **QUICK},
}


@pytest.fixture(scope="module")
def every():
    return fit(EVERY, train=every_column(300, 0))


def encoded(model, frame):
    ids, numbers, lists = model.encoder.encode(frame)
    return Batch(ids, numbers, {}, {}, lists)


@pytest.mark.parametrize("column", EVERY["features"])
def test_all_that_a_column_became_moves_together(every, column):
    frame = every_column(130, 1)
    donors = torch.from_numpy(np.random.default_rng(2).permutation(130))
    rows = encoded(every, frame)
    before = run_network(every.network, rows)
    found = permuted_features(every.network, every.encoder, rows)[column](donors)
    wanted = run_network(every.network, encoded(every, frame.with_columns(frame[column].gather(donors.numpy()))))
    assert all(found[task].equal(wanted[task]) for task in wanted)
    assert not found["pay"].equal(before["pay"])
    assert all(a.equal(b) for a, b in zip(run_network(every.network, rows).values(), before.values(), strict=True))


@torch.no_grad()
@pytest.mark.parametrize("size", [7, 8192])
def test_an_estimate_moves_where_it_is_read(every, monkeypatch, size):
    monkeypatch.setattr("trunkline.insight.importance.permutation.STEP", size)
    network, rows = every.network, encoded(every, every_column(50, 1))
    donors, raws = torch.randperm(50, generator=torch.Generator().manual_seed(0)), run_network(every.network, rows)
    found = permuted_estimates(network, rows, raws)["click (estimate)"](donors)
    click, buy, _ = network.tasks
    embedded = network.embedding(rows.ids, rows.numbers, rows.lists)
    branch = network.sharing(embedded, network.fork.split, rows.ids)[2]
    signals = [buy.signal(raws["buy"]), click.signal(raws["click"])[donors]]
    wanted = network.towers.subnets[2](torch.cat([branch, *signals], dim=1))
    torch.testing.assert_close(found["pay"], wanted)
    assert not found["pay"].allclose(raws["pay"])
    assert found["click"].equal(raws["click"])
    assert found["buy"].equal(raws["buy"])
    assert all(run_network(network, rows)[task].equal(raws[task]) for task in raws)


def test_estimates_that_are_read_are_features(every):
    names = [*EVERY["features"], "click (estimate)", "buy (estimate)"]
    assert feature_names(every.network, every.encoder) == names
    found = importance(every, test=every_column(130, 1), features=names[-2:])
    for task in ("click", "buy"):
        assert all((drop.value, drop.low, drop.high) == (0, 0, 0) for drop in found.tasks[task].features.values())
    assert all(drop.value != 0 for drop in found.tasks["pay"].features.values())


# what it says


def linear_rows(rows, seed):
    """Of two columns the label depends on one; 40 others are noise, which so few training rows teach all the same."""
    draw = np.random.default_rng(seed)
    noise = {f"noise{i}": draw.normal(size=rows) for i in range(NOISE)}
    strong, weak = draw.normal(size=(2, rows))
    return pl.DataFrame(
        {
            "strong": strong,
            "weak": weak,
            **noise,
            "click": (2 * strong + 0.5 * weak + draw.logistic(size=rows) > 0).astype(int),
            "spend": pl.Series(strong - weak + draw.normal(size=rows)),
        }
    ).with_columns(pl.when(pl.col("click") == 1).then("spend"))


@pytest.fixture(scope="module")
def linear():
    tasks = {"click": "binary", "spend": {"kind": "regression", "where": "click"}}
    return fit(
        {"tasks": tasks, "optimizer": {"lr": 0.01}, "training": {"epochs": 5, **QUICK}}, train=linear_rows(500, 0)
    )


def test_noise_has_intervals_around_zero(linear):
    founds = [importance(linear, test=linear_rows(1500, seed), repeats=2, seed=seed) for seed in (1, 2, 3)]
    for task in ("click", "spend"):
        noise = [found.tasks[task].features[f"noise{i}"] for found in founds for i in range(NOISE)]
        assert all(drop.se > 0 for drop in noise)  # the network reads it
        wrong = sum(not drop.low <= 0 <= drop.high for drop in noise)
        assert wrong <= 14, wrong  # of 120; 6 are expected
        for found in founds:
            assert next(iter(found.tasks[task].features)) == "strong"
            assert drop_of(found, task, "strong").low > 0


def test_the_standard_error_is_the_spread_over_fresh_rows(linear):
    founds = [
        importance(linear, test=linear_rows(400, 10 + i), features=["strong", "weak", "noise0"]) for i in range(60)
    ]
    for task in ("click", "spend"):
        for feature in ("strong", "weak", "noise0"):
            drops = [drop_of(found, task, feature) for found in founds]
            spread = np.std([drop.value for drop in drops], ddof=1)  # its own standard error is 9 %
            assert 0.75 < np.mean([drop.se for drop in drops]) / spread < 1.35, (task, feature)


class Classifier(ClassifierMixin, BaseEstimator):
    """A model as scikit-learn wants it."""

    def __init__(self, model):
        self.model, self.classes_ = model, np.array([0, 1])

    def fit(self, *_):
        return self

    def predict_proba(self, frame):
        p = self.model(frame)["click"].to_numpy()
        return np.stack([1 - p, p], axis=1)


def test_it_is_scikit_learns(linear):
    frame = linear_rows(1500, 4)
    features = ["strong", "weak", "noise0", "noise1"]
    found = importance(linear, test=frame, features=features, repeats=5)
    theirs, label = frame.select(linear.encoder.names).to_pandas(), frame["click"].to_numpy()
    wanted = permutation_importance(
        Classifier(linear), theirs, label, scoring="roc_auc", n_repeats=3, random_state=0, n_jobs=1
    )
    assert found.tasks["click"].score == pytest.approx(roc_auc_score(label, linear(frame)["click"]), abs=1e-5)
    for name in features:
        drop, mean = drop_of(found, "click", name), wanted.importances_mean[theirs.columns.get_loc(name)]
        assert drop.low <= mean <= drop.high, name
        assert mean == pytest.approx(drop.value, abs=2 * drop.se), name  # on the same rows


# sizes, kinds, rows


def every_kind(rows, seed):
    draw = np.random.default_rng(seed)
    x = draw.normal(size=rows)
    label = {
        "binary": (x + draw.normal(size=rows) > 0).astype(int),
        "multiclass": np.array(["a", "b", "c"])[draw.integers(0, 3, rows)],
        "ordinal": np.clip(np.rint(x + 2), 1, 3).astype(int),
        "poisson": draw.poisson(np.exp(x / 2)),
        "negative_binomial": draw.poisson(np.exp(x / 2)),
        "zero_inflated_lognormal": np.where(draw.random(rows) < 0.4, 0, np.exp(x)),
    }
    frame = pl.DataFrame({"x": x, "z": draw.normal(size=rows), "word": [f"w{i}" for i in draw.integers(0, 4, rows)]})
    for i, kind in enumerate(TASK_KINDS):
        values = pl.Series(label.get(kind, np.exp(x + draw.normal(size=rows) / 3)))
        seen = pl.Series(draw.random(rows) < (i + 2) / (len(TASK_KINDS) + 1))
        frame = frame.with_columns(pl.when(seen).then(values).alias(f"y_{kind}"))
    return frame


@pytest.fixture(scope="module")
def kinds():
    options = {"ordinal": {"levels": [1, 2, 3]}}
    tasks = {f"y_{kind}": {"kind": kind, **options.get(kind, {})} for kind in TASK_KINDS}
    config = {"tasks": tasks, "optimizer": {"lr": 0.01}, "training": {"epochs": 6, **QUICK}}
    return fit(config, train=every_kind(400, 0))


def test_every_kind_of_task_has_its_headline_metric_over_its_own_rows(kinds):
    frame = every_kind(330, 1)
    found, wanted = importance(kinds, test=frame, rows=1000), kinds.evaluate(frame)
    assert found.rows == 330
    assert len({scores["rows"] for scores in wanted.values()}) == len(TASK_KINDS)
    for task in kinds.network.tasks:
        mine = found.tasks[task.name]
        assert mine.metric == task.headline
        assert mine.score == pytest.approx(wanted[task.name][task.headline], abs=1e-6)
        values = [drop.value for drop in mine.features.values()]
        assert values == sorted(values, reverse=True)
        assert all(drop.low <= drop.value <= drop.high for drop in mine.features.values())
    assert next(iter(found.tasks["y_regression"].features)) == "x"


@pytest.mark.parametrize("rows", [1, 2, 7, 40, 130, 10_000])
def test_no_more_rows_than_asked_for(every, rows):
    found = importance(every, test=every_column(130, 1), rows=rows, repeats=1, features=["price", "bag"])
    assert (found.part, found.rows, found.repeats) == ("test", min(rows, 130), 1)
    raw = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert raw["confidence"] == 0.95
    assert set(raw["tasks"]["pay"]["features"]["price"]) == {"drop", "low", "high"}
    if rows == 1:
        assert raw["tasks"]["click"]["score"] is raw["tasks"]["click"]["features"]["bag"]["drop"] is None


def test_one_class_and_no_observed_row_are_undefined(make_rows, settings):
    model = fit(settings, train=make_rows(240))
    calm = make_rows(90, seed=2).with_columns(click=pl.lit(0))
    found = importance(model, test=calm)
    for task in ("click", "dwell"):  # dwell is of rows with a click
        assert found.tasks[task].score is None
        assert set(found.tasks[task].features.values()) == {None}
    plain = found.to_json()["tasks"]
    assert plain["dwell"]["features"]["price"] == {"drop": None, "low": None, "high": None}
    assert plain["buy"]["score"] is not None
    assert list(plain["buy"]["features"]) == list(found.tasks["buy"].features)


def test_it_is_of_what_evaluate_says(make_rows, settings, every):
    model, rows = fit(settings, train=make_rows(240)), make_rows(200, seed=2)
    for one, frame in ((model, rows), (every, every_column(150, 3))):  # with `where`, weights; with `space`
        found, wanted = importance(one, test=frame, repeats=1), one.evaluate(frame)
        for name, task in found.tasks.items():
            assert task.score == pytest.approx(wanted[name][task.metric], abs=1e-6)


# what it leaves as it was


def test_nothing_is_changed(every):
    frame, network = every_column(130, 1), every.network
    network.train()
    network.sharing.eval()
    modes = [part.training for part in network.modules()]
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    copy = frame.clone()
    importance(every, test=frame, rows=50)
    assert [part.training for part in network.modules()] == modes
    assert all(tensor.equal(weights[name]) for name, tensor in network.state_dict().items())
    assert torch.get_rng_state().equal(drawn)
    assert (np.random.get_state()[1] == numpys).all()  # noqa: NPY002
    assert frame.equals(copy)
    assert not any(part._forward_pre_hooks for part in network.modules())
    network.eval()


def test_the_seed_decides(every):
    frame = every_column(130, 1)
    first = importance(every, test=frame, rows=60)
    assert importance(every, test=frame, rows=60) == first
    assert importance(every, test=frame, rows=60, seed=1) != first
    some = importance(every, test=frame, rows=60, features=["bag"])
    assert drop_of(some, "pay", "bag") == drop_of(first, "pay", "bag")


def test_progress_is_told(every):
    told = []
    importance(
        every,
        test=every_column(50, 1),
        features=["bag", "price", "bag"],
        repeats=1,
        on_feature=lambda *done: told.append(done),
    )
    assert told == [("bag", 1, 2), ("price", 2, 2)]


# a run's rows


@pytest.fixture
def run(tmp_path, make_rows, settings):
    for part, (rows, seed) in {"train": (240, 0), "valid": (130, 1), "test": (90, 2)}.items():
        make_rows(rows, seed=seed).write_parquet(tmp_path / f"{part}.parquet")
    settings["data"] = {part: str(tmp_path / f"{part}.parquet") for part in ("train", "valid", "test")}
    fit(settings, out=tmp_path / "run")
    return tmp_path / "run"


def test_a_run_is_asked_about_its_own_rows(run, make_rows):
    files = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    drawn = torch.get_rng_state()
    found = importance(run, repeats=1)
    assert (found.part, found.rows) == ("test", 90)
    assert importance(str(run), repeats=1, test=make_rows(90, seed=2)) == found
    assert importance(run, repeats=1, part="valid").rows == 130
    assert importance(run, repeats=1, valid=make_rows(60)).rows == 60
    assert importance(run, repeats=1, part="train").rows == 240
    assert files == {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert torch.get_rng_state().equal(drawn)


def test_rows_that_are_gone_are_missed(run, tmp_path, make_rows):
    (tmp_path / "train.parquet").unlink()
    with pytest.raises(UserError, match=r"rows are not there: .*train\.parquet.*; give them: test=frame"):
        importance(run)
    assert importance(run, test=make_rows(60), repeats=1).rows == 60
    with pytest.raises(UserError, match="price"):
        importance(run, test=make_rows(60).drop("price"))


def test_a_cut_table_is_cut_again(tmp_path, make_rows, settings):
    settings["data"] = {"split": {"by": "time", "column": "time", "valid": 0.25, "test": 0}}
    rows = make_rows(400)
    model = fit(settings, train=rows)
    with pytest.raises(UserError, match="give them: test=frame"):
        importance(model)
    found = importance(model, train=rows, repeats=1)
    assert (found.part, found.rows) == ("valid", 100)
    assert importance(model, train=rows, repeats=1, part="train").rows == 300
    with pytest.raises(UserError, match=r"no test rows; it has train, valid"):
        importance(model, train=rows, part="test")


def test_what_cannot_be_asked_is_said(every, tmp_path):
    frame = every_column(50, 1)
    with pytest.raises(UserError) as caught:
        importance(every, test=frame, part="tset", rows=0, repeats=0, seed=-1, features=["pricee", "bag"])
    assert caught.value.problems == [
        "part 'tset': it is one of train, valid, test; did you mean 'test'?",
        "rows 0: it is at least 1",
        "repeats 0: it is at least 1",
        "seed -1: it is at least 0",
        "feature 'pricee' is none of the run's; did you mean 'price'?",
    ]
    with pytest.raises(UserError, match=r"'clik \(estimate\)'.*did you mean 'click \(estimate\)'"):
        importance(every, test=frame, features=["clik (estimate)"])
    with pytest.raises(UserError, match="no run folder"):
        importance(tmp_path)
