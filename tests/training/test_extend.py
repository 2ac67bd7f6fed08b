"""A trained network gets further tasks: what it knew stays, to the bit, and the new ones learn."""

import copy
import math
import signal

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from polars.testing import assert_frame_equal

from trunkline import Model, UserError, extend, fit
from trunkline.sharing.architectures import ARCHITECTURES

OPTIONS = {
    "shared_bottom": {"hidden": [8, 6]},
    "mmoe": {"experts": 3, "hidden": [8, 6]},
    "omoe": {"experts": 3, "hidden": [8, 6]},
    "cgc": {"shared": 2, "specific": 1, "hidden": [8, 6]},
    "ple": {"shared": 2, "specific": 1, "hidden": [[8, 6]]},
    "dselect_k": {"experts": 4, "k": 2, "hidden": [8, 6]},
    "single": {"hidden": [8, 6]},
    "mtan": {"hidden": [8, 6]},
    "aitm": {"hidden": [8, 6]},
    "star": {"hidden": [8, 6], "domain": "user"},
    "pepnet": {"hidden": [8, 6], "prior": ["user"]},
}
SEPARATE = ("single",)
NEW = {"topic": {"kind": "multiclass", "reads": ["click"]}, "liking": "regression"}


def config(kind="shared_bottom"):
    return {
        "features": {
            "user": {"kind": "categorical", "dim": 4},
            "item": {"kind": "categorical", "dim": 3},
            "price": "numeric",
            "returning": "boolean",
        },
        "tasks": {
            "click": {"kind": "binary", "calibrate": "temperature"},
            "dwell": {"kind": "regression", "where": "click"},
            "buy": {"kind": "binary", "space": "click", "gradient": "flow"},
        },
        "network": {
            "sharing": {"kind": kind, **OPTIONS[kind]},
            "towers": {"hidden": [5]},
            "dropout": 0.2,
            "norm": "batch",
        },
        "balance": {"objective": "sum"},
        "optimizer": {"lr": 0.02, "weight_decay": 0.01},
        "training": {"epochs": 2, "batch_size": 50, "patience": None, "device": "cpu", "log_every": 1},
    }


@pytest.fixture(scope="module")
def parts(make_rows):
    def rows(n, seed):
        frame = make_rows(n, seed=seed)
        return frame.with_columns(
            buy=pl.col("buy") * pl.col("click"),
            # what price and liking say of a row is learnt in a few steps
            liking=pl.col("price").fill_null(10) * 2 + pl.Series(np.random.default_rng(seed).normal(size=n) / 9),
        )

    return {"train": rows(200, 0), "valid": rows(80, 1), "test": rows(60, 2)}


@pytest.fixture(scope="module")
def trained(parts, tmp_path_factory):
    """A trained run of an architecture, the same for all tests."""
    runs = {}

    def trained(kind="shared_bottom", **overrides):
        key = (kind, *map(str, overrides.items()))
        if key not in runs:
            runs[key] = fit(config(kind), **parts, out=tmp_path_factory.mktemp(kind) / "run", overrides=overrides)
        return runs[key]

    return trained


def tensors(model):
    return {name: t for name, t in model.network.state_dict().items() if not name.startswith("fork.")}


def old_columns(model, frame):
    return model(frame).select(pl.exclude("^topic.*$", "^liking.*$"))


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_weights_of_what_a_run_knows_stay_to_the_bit_and_new_tasks_learn(trained, parts, kind):
    old = trained(kind)
    before = {name: t.clone() for name, t in tensors(old).items()}
    lines = []
    new = extend(
        old.path,
        {"tasks": NEW, "balance": {"objective": "uncertainty"}},
        **parts,
        overrides={"training.epochs": 6},
        on_line=lines.append,
    )
    assert [task.name for task in new.network.tasks] == ["click", "dwell", "buy", "topic", "liking"]
    after = tensors(new)
    assert any("running_mean" in name for name in before)
    for name, tensor in before.items():
        assert after[name].equal(tensor), name
    assert len(after) > len(before)
    # The weights are the same to the bit. Where an architecture computes all tasks in one product, a wider product may
    # add up in another order: each of the four layers then rounds its at most 32 terms otherwise.
    rounding = 4 * 32 * float(np.finfo(np.float32).eps)
    assert_frame_equal(old_columns(new, parts["test"]), old(parts["test"]), abs_tol=rounding, rel_tol=rounding)
    steps = [line for line in lines if "losses" in line]
    assert all(line["losses"][name] is None and line["weights"][name] == 0 for line in steps for name in OLD)
    for name in ("topic", "liking"):
        losses = [line["losses"][name] for line in steps]
        assert np.mean(losses[-4:]) < 0.93 * np.mean(losses[:4]), name
    for name, scores in old.metrics["valid"].items():
        for metric in SMOOTH & scores.keys():  # metrics of order may see a tie broken
            assert new.metrics["valid"][name][metric] == pytest.approx(scores[metric], rel=100 * rounding), (
                name,
                metric,
            )
    loaded = Model.load(new.path, device="cpu")
    assert_frame_equal(loaded(parts["test"]), new(parts["test"]))


OLD = ("click", "dwell", "buy")
SMOOTH = {"log_loss", "calibration", "rmse", "mae"}


def test_every_architecture_is_extended_or_refused():
    assert {*OPTIONS, "cross_stitch"} == set(ARCHITECTURES)


REFUSED = {
    "cross_stitch": {"kind": "cross_stitch", "hidden": [6, 5]},
    "ple": {"kind": "ple", "shared": 1, "specific": 1, "hidden": [[6], [5]]},
}


@pytest.mark.parametrize("kind", REFUSED)
@pytest.mark.parametrize("old_lr", [0.0, 0.01])
def test_what_reads_a_new_task_is_refused_and_nothing_written(trained, parts, tmp_path, kind, old_lr):
    whole = config()
    whole["network"]["sharing"] = REFUSED[kind]
    fit(whole, **parts, out=tmp_path / "old")
    with pytest.raises(UserError, match=f"sharing {kind} cannot be extended .*train all tasks together"):
        extend(tmp_path / "old", {"tasks": NEW}, **parts, out=tmp_path / "new", old_lr=old_lr)
    assert not (tmp_path / "new").exists()


def test_a_chain_goes_on_but_has_no_other_beginning(parts, tmp_path):
    whole = config("aitm")
    whole["network"]["sharing"]["chain"] = ["click", "buy", "dwell"]
    old = fit(whole, **parts, out=tmp_path / "old")
    tasks = {"topic": NEW["topic"]}
    with pytest.raises(UserError, match="it must name every task once"):
        extend(old.path, {"tasks": tasks}, **parts)
    for chain in (
        ["topic", "click", "buy", "dwell"],
        ["click", "buy", "topic", "dwell"],
        ["buy", "click", "dwell", "topic"],
    ):
        with pytest.raises(UserError, match="sharing aitm cannot be extended like this"):
            extend(old.path, {"tasks": tasks}, **parts, overrides={"network.sharing.chain": chain})
    going_on = {"network.sharing.chain": ["click", "buy", "dwell", "topic"]}
    new = extend(old.path, {"tasks": tasks}, **parts, overrides=going_on)
    assert_frame_equal(old_columns(new, parts["test"]), old(parts["test"]))


def test_experts_by_task_are_given_for_the_new_one(parts, tmp_path):
    whole = config("cgc")
    whole["network"]["sharing"]["specific"] = {"click": 1, "dwell": 2, "buy": 0}
    old = fit(whole, **parts, out=tmp_path / "old")
    with pytest.raises(UserError):
        extend(old.path, {"tasks": NEW}, **parts)
    given = {"network.sharing.specific": {"click": 1, "dwell": 2, "buy": 0, "topic": 3, "liking": 0}}
    new = extend(old.path, {"tasks": NEW}, **parts, overrides=given)
    assert_frame_equal(old_columns(new, parts["test"]), old(parts["test"]))


def permuted(parts):
    """Rows whose old labels are others, and the new ones' the same."""
    train = parts["train"]
    order = np.random.default_rng(5).permutation(len(train))
    return {**parts, "train": train.with_columns(train.select("click", "dwell", "buy")[order])}


@pytest.mark.parametrize(
    ("kind", "objective"),
    [
        *(("shared_bottom", name) for name in ("geometric", "famo", "uncertainty", "gradnorm", "dwa", "sum")),
        *((kind, "geometric") for kind in ("aitm", "mtan", "star", "single", "mmoe", "ple", "pepnet")),
        ("aitm", "famo"),
    ],
)
def test_labels_of_frozen_tasks_have_no_say(trained, parts, kind, objective):
    """Not in the losses, nor in the weights, nor in what is remembered from step to step."""
    old = trained(kind)
    made, lines = [], []
    for rows in (parts, permuted(parts)):
        lines.append([])
        tasks = {"topic": "multiclass", "liking": "regression"}
        more = {"tasks": tasks, "balance": {"objective": objective}}
        made.append(extend(old.path, more, **rows, on_line=lines[-1].append))
    one, other = map(tensors, made)
    assert all(one[name].equal(other[name]) for name in one)
    for left, right in zip(*lines, strict=True):
        assert {k: v for k, v in left.items() if k != "rows_per_second"} == {
            k: v for k, v in right.items() if k != "rows_per_second"
        }


def test_old_subnets_move_at_exactly_the_rate_asked_for(trained, parts):
    old, seen, rate = trained(**{"network.norm": "none", "network.dropout": 0.0}), [], 0.003
    lines = []

    def start(loop):
        step, names = loop.step, dict(loop.network.named_parameters())

        def counted(batch):
            before = {name: p.detach().clone() for name, p in names.items()}
            result = step(batch)
            for name, p in names.items():
                gradient = torch.zeros_like(p) if p.grad is None else p.grad
                seen.append((name, before[name], p.detach().clone(), gradient.clone()))
            return result

        object.__setattr__(loop, "step", counted)

    more = {
        "tasks": NEW,
        "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.0},
        "training": {"epochs": 1, "batch_size": 100, "device": "cpu", "log_every": 1},
    }
    extend(old.path, more, **parts, old_lr=rate, on_start=start, on_line=lines.append)
    had, moved = set(tensors(old)), set()
    for name, before, after, gradient in seen:
        step = rate if name in had else 0.05
        torch.testing.assert_close(after, before - step * gradient, rtol=1e-6, atol=1e-8, msg=name)
        moved |= {name} if not after.equal(before) else set()
    assert moved == {name for name, _, _, _ in seen}
    rates = next(line["lr"] for line in lines if "lr" in line)
    assert rates == {
        subnet: 0.05 if subnet.endswith((".topic", ".liking")) else rate for subnet in rates if subnet != "balance"
    }
    steps = [line for line in lines if "losses" in line]
    assert all(line["losses"][name] is not None for line in steps for name in OLD)


def test_a_rate_that_the_extension_names_wins_and_one_of_the_run_does_not(parts, tmp_path):
    whole = config()
    whole["optimizer"]["subnets"] = {"tower.click": {"lr": 0.5}, "embedding": {"lr": 0.1}, "tower.*": {"lr": 0.01}}
    old = fit(whole, **parts, out=tmp_path / "old")
    lines = []
    new = extend(old.path, {"tasks": NEW}, **parts, on_line=lines.append)
    rates = next(line["lr"] for line in lines if "lr" in line)
    assert rates.pop("tower.topic") == rates.pop("tower.liking") == 0.01
    assert set(rates.values()) == {0.0}
    assert all(tensors(new)[name].equal(t) for name, t in tensors(old).items())

    given = {"optimizer": {"lr": 0.02, "subnets": {"tower.click": {"lr": 0.5}}}}
    for one in (
        extend(old.path, {"tasks": NEW, **given}, **parts, old_lr=0.001),
        extend(old.path, {"tasks": NEW}, **parts, old_lr=0.001, overrides={'optimizer.subnets."tower.click".lr': 0.5}),
    ):
        rates = next(line["lr"] for line in one.history if "lr" in line)
        assert rates["tower.click"] == 0.5
        assert rates["embedding"] == rates["shared"] == rates["tower.buy"] == 0.001


def test_new_tasks_may_read_old_ones_and_live_in_them(trained, parts):
    old = trained()
    rows = {
        part: frame.with_columns(
            pay=pl.when(pl.col("buy") == 1).then(pl.int_range(pl.len()) % 2).otherwise(0),
            stars=pl.int_range(pl.len()) % 3 + 1,
        )
        for part, frame in parts.items()
    }
    tasks = {
        "pay": {"kind": "binary", "space": "buy", "gradient": "flow"},
        "stars": {"kind": "ordinal", "where": "click", "reads": ["dwell", "pay"]},
    }
    new = extend(old.path, {"tasks": tasks}, **rows)
    made = new(parts["test"])
    assert_frame_equal(made.select(old(parts["test"]).columns), old(parts["test"]))
    assert (made["pay"] <= made["buy"]).all()
    assert {"pay_given_buy", "stars", "stars_mode"} <= set(made.columns)
    assert new.metrics["valid"]["stars"]["rows"] == parts["valid"]["click"].sum()
    assert list(new.metrics["valid"]) == ["click", "dwell", "buy", "buy|click", "pay", "pay|buy", "stars"]
    assert all(tensors(new)[name].equal(t) for name, t in tensors(old).items())


@pytest.mark.parametrize("kind", ["shared_bottom", "mmoe", "single"])
def test_a_run_is_extended_twice(trained, parts, tmp_path, kind):
    old = trained(kind)
    once = extend(old.path, {"tasks": {"topic": "multiclass"}}, **parts, out=tmp_path / "once")
    twice = extend(once.path, {"tasks": {"liking": "regression"}}, **parts, out=tmp_path / "twice")
    assert_frame_equal(twice(parts["test"]).select(once(parts["test"]).columns), once(parts["test"]))
    assert_frame_equal(old_columns(once, parts["test"]), old(parts["test"]))
    moving = extend(once.path, {"tasks": {"liking": "regression"}}, **parts, old_lr=0.01)
    same = {name for name, t in tensors(once).items() if tensors(moving)[name].equal(t) and "." in name}
    assert not {name for name in same if name in dict(once.network.named_parameters())}


def test_tables_of_any_length_are_taken_over(parts, tmp_path):
    whole = config()
    whole["network"]["embedding"] = {"sparse_above": 7}
    old = fit(whole, **parts, out=tmp_path / "old")
    assert old.network.embedding.row_sparse()
    new = extend(old.path, {"tasks": NEW}, **parts)
    assert_frame_equal(old_columns(new, parts["test"]), old(parts["test"]))


def test_units_and_classes_are_those_of_the_run_whatever_the_new_rows_hold(trained, parts):
    old = trained()
    rows = {**parts, "train": parts["train"].with_columns(dwell=pl.col("dwell") * 1000, user=pl.lit("u1"))}
    new = extend(old.path, {"tasks": NEW}, **rows)
    assert new.labels.tasks[:3] == old.labels.tasks
    assert new.encoder.to_json() == old.encoder.to_json()
    assert new.labels.tasks[4].center == pytest.approx(parts["train"]["liking"].mean())


def test_the_selected_epoch_is_one_that_is_best_for_what_learns(parts, tmp_path):
    """A run selected by an old task would stop at once: its score stands still."""
    whole = config()
    whole["training"] |= {"select": "click.auc", "patience": 1}
    old = fit(whole, **parts, out=tmp_path / "old")
    new = extend(old.path, {"tasks": {"liking": "regression"}}, **parts, overrides={"training.epochs": 4})
    assert new.metrics["select"] == "mean"
    assert new.metrics["selected_epoch"] > 1
    moved = extend(old.path, {"tasks": {"liking": "regression"}}, **parts, old_lr=0.01)
    assert moved.metrics["select"] == "click.auc"
    given = {"tasks": {"liking": "regression"}, "training": {"select": "liking.rmse", "epochs": 1, "device": "cpu"}}
    assert extend(old.path, given, **parts).metrics["select"] == "liking.rmse"


def test_gradients_are_balanced_only_where_something_shared_learns(parts, tmp_path):
    whole = config()
    whole["balance"] = {"objective": "sum", "gradients": "pcgrad", "at": "parameters"}
    old = fit(whole, **parts, out=tmp_path / "old")
    frozen = extend(old.path, {"tasks": NEW}, **parts)
    assert frozen.config.balance.gradients is None
    assert_frame_equal(old_columns(frozen, parts["test"]), old(parts["test"]))
    moving = extend(old.path, {"tasks": NEW}, **parts, old_lr=0.01)
    assert moving.config.balance.gradients.kind == "pcgrad"
    # asked for all the same, it has nothing to weigh at a frozen fork
    asked = extend(
        old.path,
        {"tasks": NEW, "balance": {"objective": "sum", "gradients": "pcgrad"}},
        **parts,
        overrides={"training.log_gradients": True},
    )
    assert all(tensors(asked)[name].equal(t) for name, t in tensors(frozen).items())


def press(condition):
    pressed = []

    def watch(line):
        if not pressed and condition(line):
            pressed.append(line)
            signal.raise_signal(signal.SIGINT)

    return watch


@pytest.mark.parametrize("old_lr", [0.0, 0.005])
@pytest.mark.parametrize(
    "when",
    [lambda line: line["step"] == 1, lambda line: line["step"] == 6, lambda line: "valid" in line],
    ids=["first step", "amid an epoch", "after an epoch"],
)
def test_an_interrupted_extension_goes_on_to_the_bit(trained, parts, tmp_path, old_lr, when):
    old = trained("mmoe")
    more = {"tasks": NEW, "balance": {"objective": "uncertainty"}}
    straight = extend(old.path, more, **parts, out=tmp_path / "straight", old_lr=old_lr)
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        extend(old.path, more, **parts, out=cut, old_lr=old_lr, on_line=press(when))
    resumed = fit(cut / "config.yaml", **parts, out=cut, resume=True)
    assert all(tensors(resumed)[name].equal(t) for name, t in tensors(straight).items())
    assert resumed.metrics["test"] == straight.metrics["test"]
    assert resumed.calibrators == straight.calibrators
    if old_lr == 0:
        assert all(tensors(resumed)[name].equal(t) for name, t in tensors(old).items())


def test_the_run_itself_is_not_touched(trained, parts, tmp_path):
    old = trained()
    files = {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()}
    raw = {"tasks": copy.deepcopy(NEW), "optimizer": {"lr": 0.01}}
    given = copy.deepcopy(raw)
    extend(old.path, raw, **parts, out=tmp_path / "new", old_lr=0.01, overrides={"optimizer.weight_decay": 0.5})
    assert {path: path.read_bytes() for path in old.path.rglob("*") if path.is_file()} == files
    assert raw == given


def test_rows_come_from_files_too_and_a_yaml_file_says_so(trained, parts, tmp_path):
    old = trained()
    for part, frame in parts.items():
        frame.write_parquet(tmp_path / f"{part}.parquet")
    raw = {"tasks": NEW, "data": {part: str(tmp_path / f"{part}.parquet") for part in parts}}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    from_files = extend(old.path, tmp_path / "more.yaml")
    from_frames = extend(old.path, {"tasks": NEW}, **parts)
    assert all(tensors(from_files)[name].equal(t) for name, t in tensors(from_frames).items())


WRONG = [
    ({"tasks": {"click": "binary"}}, {}, ["task click is in the run already; give the new task another name"]),
    (
        {"tasks": NEW, "network": {"dropout": 0}, "features": "auto"},
        {},
        ["network is the run's", "features is the run's"],
    ),
    ({"tasks": NEW, "task": {}}, {}, ["task is the run's; an extension may hold tasks, data, balance"]),
    ({"optimizer": {"lr": 1}}, {}, ["tasks is missing; name the tasks to add"]),
    ({"tasks": {}}, {}, ["tasks is missing"]),
    ({"tasks": ["topic"]}, {}, ["tasks holds list; it holds the new tasks by name"]),
    ({"tasks": NEW}, {"old_lr": -0.1}, ["old_lr -0.1: it must be 0 (frozen) or above"]),
    ({"tasks": NEW}, {"old_lr": math.nan}, ["old_lr nan: it must be 0"]),
    ({"tasks": NEW}, {"overrides": {"network.dropout": 0.5}}, ["network.dropout is the run's"]),
    ({"tasks": NEW}, {"overrides": {"features.price.log": True}}, ["features.price.log is the run's"]),
    ({"tasks": NEW}, {"overrides": {"tasks.click.label": "buy"}}, ["tasks.click is the run's"]),
    ({"tasks": {"topic": "multiclas"}}, {}, ["'multiclas' is unknown; did you mean 'multiclass'?"]),
    ({"tasks": {"mood": "binary"}}, {}, ["label column 'mood' is not in the table"]),
    (
        {"tasks": {"more": {"kind": "binary", "label": "click", "where": "clik"}}},
        {},
        ["where 'clik', which is no task"],
    ),
    ({"tasks": {"price": "regression"}}, {}, ["features.price is the label of task price"]),
    (
        {"tasks": {"topic": {"kind": "multiclass", "calibrate": "isotonic"}}},
        {},
        ["tasks.topic.calibrate: isotonic does not suit"],
    ),
    ({"tasks": NEW, "optimizer": {"subnets": {"tower.tpic": {"lr": 1}}}}, {}, ["'tower.tpic' matches none"]),
]


@pytest.mark.parametrize(("raw", "more", "words"), WRONG, ids=[words[0] for _, _, words in WRONG])
def test_what_is_wrong_is_said_and_nothing_written(trained, parts, tmp_path, raw, more, words):
    with pytest.raises(UserError) as found:
        extend(trained().path, raw, **parts, out=tmp_path / "new", **more)
    assert all(word in str(found.value) for word in words), str(found.value)
    assert not (tmp_path / "new").exists()


def test_several_problems_come_at_once(trained, parts):
    with pytest.raises(UserError) as found:
        extend(trained().path, {"tasks": {"click": "binary", "buy": "binary"}, "network": {}}, **parts, old_lr=-1)
    assert len(found.value.problems) == 4


def test_folders_that_cannot_be(trained, parts, tmp_path):
    old = trained()
    with pytest.raises(UserError, match="is the run to extend; choose another folder"):
        extend(old.path, {"tasks": NEW}, **parts, out=old.path, overwrite=True)
    assert Model.load(old.path).metrics == old.metrics
    with pytest.raises(UserError, match="is no run folder"):
        extend(tmp_path, {"tasks": NEW}, **parts)
    with pytest.raises(KeyboardInterrupt):
        fit(config(), **parts, out=tmp_path / "begun", on_line=press(lambda line: True))
    with pytest.raises(UserError, match="has no trained model yet"):
        extend(tmp_path / "begun", {"tasks": NEW}, **parts)
    extend(old.path, {"tasks": NEW}, **parts, out=tmp_path / "new")
    with pytest.raises(UserError, match="holds another run"):
        extend(old.path, {"tasks": NEW}, **parts, out=tmp_path / "new")
    extend(old.path, {"tasks": {"topic": "multiclass"}}, **parts, out=tmp_path / "new", overwrite=True)
    assert "liking" not in Model.load(tmp_path / "new").config.tasks


def test_without_rows_it_says_so(trained):
    with pytest.raises(UserError, match=r"data\.train is missing"):
        extend(trained().path, {"tasks": NEW})
