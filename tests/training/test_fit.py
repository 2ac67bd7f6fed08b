import json
import math
import os

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from trunkline import Config, Model, UserError, extend, fit

TIMINGS = {"train_seconds", "rows_per_second", "seconds"}


def without_timings(value):
    """A history or metrics without what differs from run to run."""
    if isinstance(value, list):
        return [without_timings(one) for one in value]
    return {key: inner for key, inner in value.items() if key not in TIMINGS}


def weights(model):
    return {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def assert_same(one, other):
    """Two trained models that nothing but the clock tells apart."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    assert all(left[name].equal(right[name]) for name in left)
    assert without_timings(one.history) == without_timings(other.history)
    assert without_timings(one.metrics) == without_timings(other.metrics)


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(seed=0), "valid": make_rows(80, seed=1), "test": make_rows(60, seed=2)}


def test_every_kind_in_one_fit(settings, parts):
    model = fit(settings, **parts)
    rows = parts["test"]
    estimates = model(rows)
    assert estimates.columns == [
        "click",
        "dwell",
        "dwell_sigma",
        "buy",
        "topic",
        "topic_art",
        "topic_news",
        "topic_sport",
    ]
    assert len(estimates) == len(rows)
    for name in ("click", "buy"):
        assert estimates[name].is_between(0, 1).all()
    probabilities = estimates.select("topic_art", "topic_news", "topic_sport").to_numpy()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert estimates["topic"].to_list() == [("art", "news", "sport")[i] for i in probabilities.argmax(1)]
    assert estimates["dwell"].is_finite().all()
    assert estimates["dwell_sigma"].to_list() == [model.metrics["valid"]["dwell"]["rmse"]] * len(rows)


def test_training_learns(settings, parts):
    longer = fit(settings, **parts, overrides={"training.epochs": 12, "network.dropout": 0})
    assert longer.metrics["test"]["click"]["auc"] > 0.75
    assert longer.metrics["test"]["topic"]["macro_auc"] > 0.8
    assert longer.metrics["test"]["dwell"]["spearman"] > 0.2


def test_metrics_json_has_the_documented_keys(settings, parts, tmp_path):
    model = fit(settings, **parts, out=tmp_path / "run")
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found == model.metrics
    assert set(found) >= {"valid", "test", "epochs", "selected_epoch", "train_seconds", "rows_per_second"}
    binary = {"auc", "log_loss", "normalized_entropy", "calibration", "ece", "average_precision", "rows"}
    for part in ("valid", "test"):
        assert list(found[part]) == ["click", "dwell", "buy", "topic"]
        assert set(found[part]["click"]) == set(found[part]["buy"]) == binary
        assert set(found[part]["dwell"]) == {"rmse", "mae", "r2", "spearman", "rows"}
        assert set(found[part]["topic"]) == {"accuracy", "log_loss", "macro_auc", "rows"}
    assert found["epochs"] == 2
    assert found["selected_epoch"] in (1, 2)
    rows = parts["valid"]
    assert found["valid"]["click"]["rows"] == len(rows)
    assert found["valid"]["topic"]["rows"] == rows["topic"].count()
    inside = rows.filter((pl.col("click") == 1) & pl.col("dwell").is_not_null() & (pl.col("importance") > 0))
    assert found["valid"]["dwell"]["rows"] == len(inside)


def test_what_predictions_read_is_of_the_network_that_lies_there(settings, parts, tmp_path):
    """Thresholds and profile go with a run that is replaced, come with one that is ended, and go stale with none."""
    run = tmp_path / "run"
    fit(settings, **parts, out=run)
    kept = {name: (run / name).read_bytes() for name in ("validation.safetensors", "profile.json")}
    for name in kept:
        (run / name).unlink()  # as in a run of an earlier version
    fit(settings, **parts, out=run, resume=True)
    assert {name: (run / name).read_bytes() for name in kept} == kept

    def stop(line):
        if line.get("best") and line["epoch"] > 1:
            raise KeyboardInterrupt

    longer = {"training.epochs": 30}
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=run, resume=True, overrides=longer, on_line=stop)
    assert not (run / "validation.safetensors").exists()
    fit(settings, train=parts["train"], out=run, overwrite=True)
    assert (run / "profile.json").exists()
    assert not (run / "validation.safetensors").exists()


def test_a_run_folder_holds_what_the_model_needs(settings, parts, tmp_path):
    run = tmp_path / "run"
    model = fit(settings, **parts, out=run)
    files = {"config.yaml", "encoder.json", "model.safetensors", "history.jsonl", "metrics.json", "curves.json"}
    files |= {"validation.safetensors", "profile.json"}
    assert {path.name for path in run.iterdir()} == {*files, "checkpoint", ".lock"}
    assert not [path for path in run.rglob("*") if path.name.endswith(".partial")]
    loaded = Model.load(run, device="cpu")
    assert_frame_equal(loaded(parts["test"]), model(parts["test"]))
    for part in ("valid", "test"):
        found = loaded.evaluate(parts[part])
        assert found.keys() == model.metrics[part].keys()
        assert all(found[task] == pytest.approx(scores, abs=1e-5) for task, scores in model.metrics[part].items())
    resolved = Config.make(run / "config.yaml")
    assert resolved == model.config
    assert resolved.training.patience is None


def test_a_run_of_the_resolved_config_is_the_same_run(settings, parts, tmp_path):
    auto = {**settings, "features": "auto"}
    first = fit(auto, **parts, out=tmp_path / "one")
    assert set(first.encoder.names) == {"user", "item", "price", "returning", "time"}
    again = fit(tmp_path / "one" / "config.yaml", **parts, out=tmp_path / "two")
    assert_same(first, again)


def test_the_same_seed_gives_the_same_model_whatever_the_global_generator(settings, parts):
    models = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        models.append(fit(settings, **parts))
        assert torch.get_rng_state().equal(before)
    assert_same(*models)
    other = fit(settings, **parts, overrides={"training.seed": 1})
    assert any(not weights(other)[name].equal(tensor) for name, tensor in weights(models[0]).items())


def test_the_global_generator_is_put_back_after_an_error_too(settings, parts):
    torch.manual_seed(5)
    before = torch.get_rng_state()

    def fail(line):
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fit(settings, **parts, on_line=fail)
    assert torch.get_rng_state().equal(before)


def test_test_rows_have_no_say(settings, parts, make_rows):
    with_one = fit(settings, **parts, overrides={"training.patience": 1, "training.epochs": 4})
    changed = {**parts, "test": make_rows(30, seed=9).with_columns(buy=pl.Series([0, 1, 1] * 10))}
    with_other = fit(settings, **changed, overrides={"training.patience": 1, "training.epochs": 4})
    with_none = fit(
        settings,
        train=parts["train"],
        valid=parts["valid"],
        overrides={"training.patience": 1, "training.epochs": 4},
    )
    assert with_one.metrics["test"] != with_other.metrics["test"]
    assert "test" not in with_none.metrics
    for other in (with_other, with_none):
        assert with_one.history != []
        assert without_timings(with_one.history) == without_timings(other.history)
        assert with_one.metrics["valid"] == other.metrics["valid"]
        assert all(weights(other)[name].equal(tensor) for name, tensor in weights(with_one).items())


def test_pandas_frames_train_and_keep_their_index(settings, parts):
    pd = pytest.importorskip("pandas")
    frames = {part: frame.to_pandas() for part, frame in parts.items()}
    model, plain = fit(settings, **frames), fit(settings, **parts)
    assert_same(model, plain)
    rows = frames["test"].set_index(pd.Index(np.arange(60) * 7 + 3, name="row"))
    estimates = model(rows)
    assert estimates.index.equals(rows.index)
    assert estimates.index.name == "row"
    assert_frame_equal(pl.from_pandas(estimates), plain(parts["test"]))
    some = rows.iloc[[5, 2, 41]]
    pd.testing.assert_frame_equal(model(some), estimates.loc[some.index], rtol=1e-6)


def test_a_pandas_frame_with_a_column_twice_is_refused(settings, parts):
    pytest.importorskip("pandas")
    frame = parts["train"].to_pandas()
    frame.columns = ["price" if name == "item" else name for name in frame.columns]
    with pytest.raises(UserError, match="'price'"):
        fit(settings, train=frame)


@pytest.mark.parametrize("rows", [[[1, 2]], 3, "rows.csv"])
def test_rows_that_are_no_frame(settings, rows):
    with pytest.raises(UserError, match="polars or pandas frame"):
        fit(settings, train=rows)


def test_lazy_frames_are_collected(settings, parts):
    assert_same(fit(settings, **{part: frame.lazy() for part, frame in parts.items()}), fit(settings, **parts))


def test_unseen_categories_missing_values_further_and_reordered_columns_are_fine(settings, parts):
    model = fit(settings, **parts)
    rows = parts["test"]
    expected = model(rows)
    shuffled = rows.select(reversed(rows.columns)).with_columns(surprise=pl.lit("x"))
    assert_frame_equal(model(shuffled), expected)
    strange = rows.with_columns(
        user=pl.lit("nobody before"),
        item=pl.lit(None, pl.Int64),
        price=pl.lit(None, pl.Float64),
        returning=pl.lit(None),
        time=pl.lit(None, pl.Datetime),
    )
    found = model(strange)
    assert len(found) == len(rows)
    assert found.drop("topic").to_numpy().astype(float).std(axis=0) == pytest.approx(0, abs=1e-6)
    assert_frame_equal(model(rows.head(1)), expected.head(1), rel_tol=1e-5)
    assert model(rows.head(0)).schema == expected.schema


def test_missing_feature_columns_are_named(settings, parts):
    model = fit(settings, **parts)
    with pytest.raises(UserError) as found:
        model(parts["test"].drop("user").rename({"price": "prices"}))
    assert "feature column 'user' is not in the table" in str(found.value)
    assert "'price' is not in the table; did you mean 'prices'?" in str(found.value)
    with pytest.raises(UserError) as found:
        model.evaluate(parts["test"].drop("buy", "user", "importance"))
    assert len(found.value.problems) == 3


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_any_batch_size(settings, parts, size):
    small = {part: frame.head(25) for part, frame in parts.items()}
    model = fit(settings, **small, overrides={"training.batch_size": size, "training.epochs": 1})
    assert model(small["test"]).drop("topic").to_numpy().astype(float).min() > -math.inf
    steps = -(-25 // size)
    assert model.history[-1]["step"] == steps


@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("objective", ["sum", "uncertainty", {"kind": "fixed", "weights": {"click": 2}}])
def test_one_task_alone(parts, norm, objective):
    config = {
        "features": {"price": "numeric"},
        "tasks": {"click": "binary"},
        "balance": {"objective": objective, "gradients": "pcgrad"},
        "network": {"sharing": {"hidden": [4]}, "towers": {"hidden": []}, "norm": norm},
        "training": {"epochs": 1, "batch_size": 60, "device": "cpu"},
    }
    model = fit(config, **parts)
    assert model(parts["test"]).columns == ["click"]
    assert model.metrics["selected_epoch"] == 1


def test_a_task_that_validation_never_observes(settings, parts):
    valid = parts["valid"].with_columns(click=pl.lit(None, pl.Int64))
    model = fit(settings, train=parts["train"], valid=valid)
    scores = model.metrics["valid"]
    assert {name: values["rows"] for name, values in scores.items() if values["rows"] == 0} == {"click": 0, "dwell": 0}
    assert scores["click"]["auc"] is None
    assert scores["buy"]["auc"] is not None
    assert model(valid)["dwell_sigma"].null_count() == len(valid)


def test_validation_without_any_score_selects_the_last_epoch(settings, parts):
    valid = parts["valid"].with_columns(*(pl.lit(None).alias(name) for name in ("click", "dwell", "buy", "topic")))
    model = fit(settings, train=parts["train"], valid=valid)
    assert (model.metrics["selected_epoch"], model.metrics["score"]) == (2, None)


def test_without_validation_the_last_epoch_is_the_model(settings, parts):
    model = fit(settings, train=parts["train"])
    assert set(model.metrics) & {"valid", "test"} == set()
    assert model.metrics["selected_epoch"] == 2
    assert model(parts["test"])["dwell_sigma"].null_count() == len(parts["test"])


def test_a_batch_in_which_a_task_has_no_label(settings, parts):
    rare = parts["train"].with_columns(
        topic=pl.when(pl.int_range(pl.len()) < 5).then(pl.col("topic").fill_null("art")).otherwise(None)
    )
    model = fit(settings, train=rare, overrides={"training.batch_size": 4, "training.log_every": 1})
    unobserved = [line for line in model.history if "losses" in line and line["losses"]["topic"] is None]
    assert len(unobserved) > 50
    assert all(line["weights"]["topic"] == 0 for line in unobserved)


def test_half_precision_on_the_cpu(settings, parts):
    model = fit(settings, **parts, overrides={"training.amp": "bf16"})
    full = fit(settings, **parts)
    assert any(not weights(full)[name].equal(tensor) for name, tensor in weights(model).items())
    assert all(tensor.dtype == torch.float32 for tensor in weights(model).values() if tensor.is_floating_point())
    assert model.metrics["valid"]["click"]["log_loss"] == pytest.approx(
        full.metrics["valid"]["click"]["log_loss"], rel=0.2
    )
    with pytest.raises(UserError, match="fp16 needs cuda"):
        fit(settings, **parts, overrides={"training.amp": "fp16"})


@pytest.mark.parametrize("by", ["time", "random", "group"])
def test_one_table_is_cut(settings, parts, tmp_path, by):
    split = {"by": by, "column": {"time": "time", "group": "user", "random": None}[by], "valid": 0.2, "test": 0.2}
    table = parts["train"].with_columns(user=pl.col("user").fill_null("u0"))
    config = {**settings, "data": {"split": split}}
    if by == "time":
        config["features"] = "auto"
    model = fit(config, train=table, out=tmp_path / "run")
    result = model.config.data.split.result
    assert sum(result["rows"].values()) == len(table)
    assert model.metrics["valid"]["click"]["rows"] == result["rows"]["valid"]
    assert model.metrics["test"]["click"]["rows"] == result["rows"]["test"]
    assert ("time" in model.encoder.names) == (by != "time")
    assert_same(fit(config, train=table), model)
    given = fit(config, train=table, test=parts["test"])
    assert given.metrics["test"]["click"]["rows"] == len(parts["test"])
    assert sum(given.config.data.split.result["rows"].values()) == len(table)


@pytest.mark.parametrize("patience", [1, 2])
def test_training_stops_when_patience_runs_out(settings, parts, patience):
    frozen = {"optimizer.lr": 0.0, "optimizer.subnets": {"*": {"lr": 0.0}}, "balance.objective": "sum"}
    model = fit(settings, **parts, overrides={**frozen, "training.patience": patience, "training.epochs": 9})
    assert model.metrics["epochs"] == 1 + patience
    assert model.metrics["selected_epoch"] == 1
    assert [line["best"] for line in model.history if "valid" in line] == [True] + [False] * patience


def test_the_selected_epoch_is_the_best_of_the_history(settings, parts):
    model = fit(settings, **parts, overrides={"training.epochs": 8, "training.select": "buy.auc", "optimizer.lr": 0.05})
    scores = [line["score"] for line in model.history if "valid" in line]
    assert len(scores) == 8
    assert model.metrics["selected_epoch"] == 1 + int(np.argmax(scores))
    assert model.metrics["score"] == model.metrics["valid"]["buy"]["auc"] == max(scores)


def test_an_epoch_without_a_score_is_no_better_than_one_with(settings, parts, monkeypatch):
    values = iter([0.5, None, 0.4, None])
    monkeypatch.setattr("trunkline.training.fit.selection", lambda select, tasks, unsure: lambda scores: next(values))
    model = fit(settings, **parts, overrides={"training.epochs": 4})
    assert (model.metrics["selected_epoch"], model.metrics["score"]) == (1, 0.5)


def test_history_says_what_happened(settings, parts):
    overrides = {"balance.gradients": "pcgrad", "balance.objective": "uncertainty", "training.log_every": 2}
    seen = []
    model = fit(settings, **parts, overrides=overrides, on_line=seen.append)
    assert seen == model.history
    steps = [line for line in seen if "losses" in line]
    assert [line["step"] for line in steps] == [2, 4, 5, 6, 8, 10]  # five steps an epoch, whose last is told too
    tasks = ["click", "dwell", "buy", "topic"]
    for line in steps:
        for key in ("losses", "weights", "sigma", "fork_weights"):
            assert list(line[key]) == tasks, key
        assert line["sum"] == pytest.approx(sum(line["losses"].values()))
        assert {"embedding", "shared", "balance", *(f"tower.{task}" for task in tasks)} == set(line["lr"])
    assert [line["epoch"] for line in seen if "valid" in line] == [0, 1]


EXPLOSION = {
    "optimizer": {"name": "sgd", "lr": 1e30, "subnets": {}},
    "balance": {"objective": "sum"},
}


@pytest.mark.parametrize("size", [20, 10_000])
def test_a_loss_that_is_no_number_stops_the_training(settings, parts, tmp_path, size):
    run = tmp_path / "run"
    with pytest.raises(UserError) as found:
        fit({**settings, **EXPLOSION}, **parts, out=run, overrides={"training.batch_size": size})
    text = str(found.value)
    assert any(task in text for task in settings["tasks"])
    assert "was not a number" in text
    assert "step " in text
    assert "lower optimizer.lr" in text
    assert str(run / "checkpoint" / "state.safetensors") in text
    assert not (run / "metrics.json").exists()


def test_a_loss_that_is_no_number_is_found_where_nothing_is_logged_or_validated(settings, parts):
    overrides = {"training.log_every": 1000, "training.epochs": 1, "training.batch_size": 200}
    with pytest.raises(UserError, match=r"the loss of .*click.* was not a number at step 1 \(epoch 1, training rows "):
        fit({**settings, **EXPLOSION}, train=parts["train"], overrides=overrides)


def test_the_last_good_checkpoint_survives_a_loss_that_is_no_number(settings, parts, tmp_path):
    run, lines = tmp_path / "run", []

    def spoil(loop):
        loops.append(loop)

    def after_an_epoch(line):
        lines.append(line)
        if "valid" in line and line["epoch"] == 0:
            spoiled.append(True)
        elif spoiled and "losses" in line:
            with torch.no_grad():
                loops[0].network.towers.subnets[2][1].weight.fill_(math.nan)

    loops, spoiled = [], []
    with pytest.raises(UserError, match="loss of buy was not a number at step 6"):
        fit(settings, **parts, out=run, on_start=spoil, on_line=after_an_epoch, overrides={"training.epochs": 3})
    whole = fit(settings, **parts, overrides={"training.epochs": 3}, out=tmp_path / "whole")
    resumed = fit(settings, **parts, out=run, resume=True, overrides={"training.epochs": 3})
    assert_same(resumed, whole)
    assert all(json.dumps(line, allow_nan=False) for line in lines)


BAD = [
    ({"tasks": {name: {"kind": "binary", "reads": [read]} for name, read in ("ab", "ba")}}, "cycle: a -> b -> a"),
    ({"tasks": {"click": "binary", "dwell": {"kind": "regression", "where": "topic"}}}, "is no task"),
    (
        {"tasks": {"price": "regression", "dwell": {"kind": "regression", "where": "price"}}, "features": "auto"},
        "is not a binary task",
    ),
    ({"optimizer": {"subnets": {"tower.clik": {"lr": 1}}}}, "matches none of the subnets"),
    ({"features": {"price": "numeric"}, "optimizer": {"subnets": {"embedding": {"lr": 1}}}}, "matches none"),
    ({"training": {"select": "click.aux"}}, "did you mean 'click.auc'"),
    ({"features": {"prices": "numeric"}}, "did you mean 'price'"),
    ({"tasks": {"clicks": "binary"}}, "did you mean 'click'"),
    ({"tasks": {"user": "binary"}, "features": "auto"}, "'user' is String"),
    ({"data": {"split": {"by": "time", "column": "times"}}}, "did you mean 'time'"),
    ({"data": {"train": "absent.parquet"}, "train": None}, "absent.parquet does not exist"),
    ({"train": None}, "data.train is missing"),
]


@pytest.mark.parametrize(("change", "words"), BAD, ids=[words for _, words in BAD])
def test_nothing_is_written_when_something_is_wrong(settings, parts, tmp_path, change, words):
    given = {key: change[key] for key in change if key in parts}
    config = {**settings, **{key: value for key, value in change.items() if key not in parts}}
    with pytest.raises(UserError) as found:
        fit(config, **{**parts, **given}, out=tmp_path / "run")
    assert words in str(found.value)
    assert list(tmp_path.iterdir()) == []


def test_problems_of_all_parts_come_at_once(settings, parts):
    bad = {
        "train": parts["train"].with_columns(price=pl.lit("cheap"), click=pl.lit(2)),
        "valid": parts["valid"].with_columns(topic=pl.lit("opera")),
        "test": parts["test"].drop("user", "buy"),
    }
    with pytest.raises(UserError) as found:
        fit(settings, **bad)
    assert len(found.value.problems) >= 2
    assert all(problem.startswith(("train: ", "valid: ", "test: ")) for problem in found.value.problems)
    with pytest.raises(UserError) as found:
        fit(settings, **{**bad, "train": parts["train"]})
    assert [problem.partition(":")[0] for problem in found.value.problems] == ["valid", "test", "test"]


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_another_run_is_neither_replaced_nor_touched(settings, parts, tmp_path):
    run = tmp_path / "run"
    fit(settings, **parts, out=run)
    before = everything(run)
    with pytest.raises(UserError, match="holds another run"):
        fit(settings, **parts, out=run)
    with pytest.raises(UserError, match="is not in the table"):
        fit({**settings, "tasks": {"nope": "binary"}}, **parts, out=run, overwrite=True)
    bad_pattern = {"features": {"price": "numeric"}, "optimizer": {"subnets": {"embedding": {"lr": 1}}}}
    with pytest.raises(UserError, match="matches none"):
        fit({**settings, **bad_pattern}, **parts, out=run, overwrite=True)
    assert everything(run) == before
    replaced = fit(settings, **parts, out=run, overwrite=True, overrides={"training.epochs": 1})
    assert replaced.metrics["epochs"] == 1
    assert max(line["epoch"] for line in replaced.history) == 0


def test_a_config_is_not_changed_by_a_fit(settings, parts):
    before = json.dumps(settings)
    fit(settings, **parts, overrides={"training.epochs": 1})
    assert json.dumps(settings) == before


@pytest.mark.parametrize("damage", ["config.yaml", "model.safetensors", "encoder.json"])
def test_a_run_that_cannot_be_loaded(settings, parts, tmp_path, damage):
    run = tmp_path / "run"
    fit(settings, **parts, out=run)
    (run / damage).write_bytes(b"[1, 2]")
    with pytest.raises(UserError, match=damage):
        Model.load(run)
    os.remove(run / damage)
    with pytest.raises(UserError):
        Model.load(run)


def test_the_model_of_another_config_does_not_load(settings, parts, tmp_path):
    fit(settings, **parts, out=tmp_path / "one")
    fit(settings, **parts, out=tmp_path / "two", overrides={"network.towers.hidden": [5]})
    (tmp_path / "one" / "model.safetensors").write_bytes((tmp_path / "two" / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="does not fit"):
        Model.load(tmp_path / "one")


def test_a_temporary_run_lives_as_long_as_its_model(settings, parts):
    model = fit(settings, **parts, overrides={"training.epochs": 1})
    path = model.path
    assert (path / "metrics.json").exists()
    del model
    assert not path.exists()


def test_a_random_split_gives_every_part_its_rare_labels_and_goes_on_with_them(tmp_path):
    draw = np.random.default_rng(0)
    rare = np.zeros(2_000, dtype=int)
    rare[draw.choice(2_000, 20, replace=False)] = 1
    table = pl.DataFrame({"x": draw.normal(size=2_000) + rare, "rare": rare, "often": draw.integers(0, 2, 2_000)})
    config = {
        "data": {"split": {"by": "random", "valid": 0.2, "test": 0.2}},
        "tasks": {"rare": "binary", "often": "binary"},
        "network": {"sharing": {"hidden": [4]}, "towers": {"hidden": [2]}},
        "training": {"epochs": 1, "batch_size": 200, "device": "cpu"},
    }
    first = fit(config, train=table, out=tmp_path / "run")
    drawn = json.loads((tmp_path / "run" / "curves.json").read_text())["labels"]
    counts = [
        round(drawn[part]["rare"]["mean"] * drawn[part]["rare"]["observed"]) for part in ("train", "valid", "test")
    ]
    assert sum(counts) == 20
    assert all(abs(count - share) <= 1 for count, share in zip(counts, (12, 4, 4), strict=True))
    assert first.config.data.split.stratify == ["rare", "often"]
    again = fit(config, train=table, out=tmp_path / "run", resume=True, overrides={"training.epochs": 2})
    assert again.metrics["valid"]["rare"]["rows"] == first.metrics["valid"]["rare"]["rows"]
    more = extend(tmp_path / "run", {"tasks": {"also": {"kind": "binary", "label": "often"}}}, train=table)
    assert more.config.data.split.stratify == ["rare", "often"]
    assert more.config.data.split.result == first.config.data.split.result
    old = {key: value for key, value in first.config.data.split.model_dump().items() if key != "stratify"}
    assert Config.make({**config, "data": {"split": old}}).strata == []  # as version 0.1 cut it


def test_a_task_of_which_the_validation_rows_tell_nothing_does_not_choose_the_epoch(caplog, tmp_path):
    draw = np.random.default_rng(0)
    rows = {
        part: pl.DataFrame({"x": draw.normal(size=n), "often": draw.integers(0, 2, n)}) for part, n in SIZES.items()
    }
    rare = {
        part: frame.with_columns(rare=pl.Series([int(i % 97 == 5) for i in range(len(frame))]))
        for part, frame in rows.items()
    }
    config = {
        "tasks": {"rare": "binary", "often": "binary"},
        "network": {"sharing": {"hidden": [4]}, "towers": {"hidden": [2]}},
        "training": {"epochs": 3, "batch_size": 50, "device": "cpu", "patience": None},
    }
    model = fit(config, train=rare["train"], valid=rare["valid"])
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("task rare has 5 validation rows of label 1: too few to choose an epoch by")
    scores = [line["valid"] for line in model.history if "valid" in line]
    assert model.metrics["selected_epoch"] == 1 + int(np.argmax([score["often"]["auc"] for score in scores]))
    chosen = fit(config, train=rare["train"], valid=rare["valid"], overrides={"training.select": "rare.auc"})
    assert chosen.metrics["select"] == "rare.auc"
    alone = {**config, "tasks": {"rare": "binary"}}
    caplog.clear()
    fit(alone, train=rare["train"].drop("often"), valid=rare["valid"].drop("often"))
    assert not caplog.records


SIZES = {"train": 800, "valid": 400}


def test_a_model_says_what_it_is_and_predicts_by_name(settings, parts, tmp_path):
    model = fit(settings, **parts, out=tmp_path / "run", overrides={"training.epochs": 1})
    assert repr(model).startswith(f"Model of {tmp_path / 'run'}: click (binary, auc 0.")
    assert "topic (multiclass, macro_auc 0." in repr(model)
    assert_frame_equal(model.predict(parts["test"]), model(parts["test"]))
    assert repr(model).endswith("[validation rows, epoch 1 of 1]")
