import copy
import math

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.cli.train import parse_overrides
from trunkline.config import Config
from trunkline.errors import UserError

TASKS = {"click": "binary"}
FULL = {
    "data": {
        "train": ["a.csv", "b.csv"],
        "test": "test.parquet",
        "split": {"by": "time", "column": "when", "valid": 0.2, "test": 0.0, "seed": 3},
        "ignore": ["row"],
        "null_values": ["-", "n/a"],
    },
    "features": {
        "user": {"kind": "categorical", "dim": 3, "min_count": 2},
        "price": {"kind": "numeric", "log": True},
        "new": "boolean",
        "when": "datetime",
    },
    "tasks": {
        "click": "binary",
        "dwell": {"kind": "regression", "label": "seconds", "where": "click", "weight": "w", "standardize": False},
        "topic": {"kind": "multiclass", "reads": ["click", "dwell"], "gradient": "flow"},
    },
    "network": {"sharing": {"hidden": [5]}, "towers": {"hidden": []}, "dropout": 0.3, "norm": "layer"},
    "balance": {
        "objective": {"kind": "fixed", "weights": {"click": 1, "dwell": 0.5, "topic": 0}},
        "gradients": {"kind": "pcgrad", "rescale": False},
    },
    "optimizer": {
        "name": "sgd",
        "lr": 0.5,
        "weight_decay": 0.1,
        "momentum": 0.0,
        "schedule": {"kind": "warmup_cosine", "warmup": 0.2, "final": 0.1},
        "subnets": {"tower.*": {"lr": 0.1, "schedule": "constant"}, "embedding": {"weight_decay": 0.2}},
    },
    "training": {"epochs": 3, "batch_size": 7, "patience": None, "select": "click.auc", "amp": "bf16", "log_every": 1},
}


def problems(raw, **overrides):
    with pytest.raises(UserError) as found:
        Config.make(raw, overrides=overrides)
    return found.value.problems


def written(tmp_path, text):
    path = tmp_path / "feed.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "raw",
    [
        {"tasks": TASKS},
        FULL,
        {"tasks": TASKS, "training": {"patience": None}},
        {"tasks": TASKS, "training": {"patience": 5}},
        {"tasks": {"größe": {"kind": "regression", "label": "länge"}}, "data": {"null_values": ["", "null", "1"]}},
        {"tasks": TASKS, "balance": {"objective": "sum", "gradients": "upgrad"}},
        {"tasks": TASKS, "optimizer": {"name": "adam", "schedule": "warmup_cosine"}},
        {"tasks": TASKS, "features": {"yes": "numeric", "1": "boolean", "null": "datetime"}},
    ],
)
def test_yaml_of_a_config_makes_the_same_config(tmp_path, raw):
    config = Config.make(raw)
    assert Config.make(written(tmp_path, config.to_yaml())) == config
    assert Config.make(yaml.safe_load(config.to_yaml())) == config
    assert Config.make(config) == config
    assert Config.make(config).to_yaml() == config.to_yaml()


def test_null_patience_is_written_and_read_back():
    config = Config.make({"tasks": TASKS}, overrides={"training.patience": None})
    assert yaml.safe_load(config.to_yaml())["training"]["patience"] is None
    assert Config.make(yaml.safe_load(config.to_yaml())).training.patience is None


def test_every_key_that_is_set_arrives():
    written_out = Config.make(FULL).model_dump(mode="json")

    def holds(found, given):
        if isinstance(given, dict):
            assert all(holds(found[key], value) for key, value in given.items() if value is not None)
        elif isinstance(found, dict):
            assert found["kind"] == given
        else:
            assert found == given
        return True

    assert holds(written_out, FULL)


def sections(raw, path=()):
    """Every mapping whose keys the config defines."""
    free = {("features",), ("tasks",), ("optimizer", "subnets"), ("balance", "objective", "weights")}
    if path not in free:
        yield path
    for key, value in raw.items():
        if isinstance(value, dict):
            yield from sections(value, (*path, key))


@pytest.mark.parametrize("path", list(sections(FULL)), ids=".".join)
def test_a_misspelt_key_is_answered_with_the_right_one(path):
    raw = copy.deepcopy(FULL)
    place = raw
    for part in path:
        place = place[part]
    known = next(key for key in reversed(place) if key != "kind")
    place[known + "x"] = place[known]
    wanted = (f"unknown key '{known}x' in ", f"; did you mean '{known}'? (known: ", ".".join(path) or "the top level")
    assert any(all(words in problem for words in wanted) for problem in problems(raw))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("tasks.click", "binry", "tasks.click: kind 'binry' is unknown; did you mean 'binary'?"),
        ("tasks.click.kind", "binry", "tasks.click: kind 'binry' is unknown; did you mean 'binary'?"),
        ("features.user", "numerical", "features.user: kind 'numerical' is unknown; did you mean 'numeric'?"),
        ("features", "atuo", "features: 'atuo' is not one of auto; did you mean 'auto'?"),
        ("balance.gradients", "pcgrd", "balance.gradients: method 'pcgrd' is unknown; did you mean 'pcgrad'?"),
        ("balance.objective", "uncertain", "balance.objective: method 'uncertain' is unknown"),
        ("optimizer.name", "adamm", "optimizer.name: 'adamm' is not one of adamw, adam, sgd; did you mean"),
        ("optimizer.schedule", "cosine", "optimizer.schedule: kind 'cosine' is unknown"),
        ("network.norm", "bach", "network.norm: 'bach' is not one of none, batch, layer; did you mean 'batch'?"),
        ("data.split.by", "tme", "data.split.by: 'tme' is not one of time, group, random; did you mean 'time'?"),
        ("network.sharing.kind", [], "give its kind, or its kind and options"),
        ("training.device", {}, "training.device: {} is not one of auto, cpu, cuda, mps"),
        ("training.amp", "fp8", "training.amp: 'fp8' is not one of none, bf16, fp16"),
    ],
)
def test_a_misspelt_choice_is_answered_with_the_right_one(path, value, words):
    assert any(words in problem for problem in problems(FULL, **{path: value}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.epochs", 0),
        ("training.batch_size", 1.5),
        ("training.patience", 0),
        ("optimizer.lr", -1),
        ("optimizer.lr", math.nan),
        ("optimizer.lr", math.inf),
        ("optimizer.lr", "fast"),
        ("optimizer.momentum", 1),
        ('optimizer.subnets."tower.*".lr', -0.1),
        ("network.dropout", 1),
        ("network.towers.hidden", [4, 0]),
        ("network.towers.hidden", "wide"),
        ("data.split.valid", 1.0),
        ("data.train", 3),
        ("tasks.click.label", 3.5),
        ("tasks.topic.reads", 3.5),
    ],
)
def test_a_value_out_of_range_is_named_with_its_place(path, value):
    (problem,) = problems(FULL, **{path: value})
    place = path.replace('"', "")
    assert f"the config: {place}" in problem
    assert repr(value) in problem or "0" in problem


def test_an_option_of_a_feature_out_of_range_is_named_with_its_feature():
    (problem,) = problems(FULL, **{"features.user.dim": 0})
    assert problem == "the config: features: feature user: dim 0; it must be at least 1"


def test_all_problems_come_at_once():
    found = problems(
        {
            "tasks": {"click": {"kind": "binary", "raeds": []}},
            "traning": {},
            "optimizer": {"subnets": {"a": {"lrr": 1}}, "name": "adamm"},
            "data": {"split": {"by": "tme", "colum": "x"}},
            "balance": {"gradients": "pcgrd", "objective": {"kind": "fixed"}},
            "training": {"epochs": 0, "batch_size": 0},
        }
    )
    assert len(found) == len(set(found)) == 10
    for word in ("raeds", "traning", "lrr", "adamm", "tme", "colum", "pcgrd", "weights is missing", "epochs", "batch"):
        assert sum(word in problem for problem in found) == 1, word


def test_tasks_are_needed():
    assert problems({}) == ["the config: tasks is missing"]
    assert "tasks" in problems({"tasks": {}})[0]
    assert "no feature" in problems({"tasks": TASKS, "features": {}})[0]
    assert "tasks.click: {}: give its kind" in problems({"tasks": {"click": {}}})[0]


def test_one_read_task_needs_no_list():
    one, several = (Config.make(FULL, overrides={"tasks.topic.reads": reads}) for reads in ("click", ["click"]))
    assert one == several


def test_weights_and_features_fit_the_tasks():
    raw = {
        "tasks": {"click": "binary", "dwell": {"kind": "regression", "label": "seconds"}},
        "features": {"seconds": "numeric", "click": "boolean"},
        "balance": {"objective": {"kind": "fixed", "weights": {"clik": 1}}},
    }
    found = "\n".join(problems(raw))
    assert "weights names clik; it needs each task: click, dwell" in found
    assert "features.seconds is the label of task dwell" in found
    assert "features.click is the label of task click" in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tasks: {click: binary}\ntraining: {epochs: 1, epochs: 2}", "key 'epochs' stands twice"),
        ("tasks: {click: binary}\ntasks: {buy: binary}", "key 'tasks' stands twice"),
        ("tasks: {click: binary, click: regression}", "key 'click' stands twice"),
        ("tasks: !!python/object/apply:os.getcwd []", "tag:yaml.org,2002:python/object/apply"),
        ("tasks: !mine {click: binary}", "!mine"),
        ("tasks: {click: binary", "no valid YAML"),
        ("? [a]\n: 1", "no valid YAML"),
        ("", "must hold keys"),
        ("- tasks", "must hold keys"),
        ("tasks", "must hold keys"),
    ],
)
def test_yaml_that_is_no_config(tmp_path, text, words):
    path = written(tmp_path, text)
    (problem,) = problems(path)
    assert words in problem
    assert str(path) in problem


def test_files_that_cannot_be_read(tmp_path):
    assert "does not exist; `trunkline init` writes one" in problems(tmp_path / "absent.yaml")[0]
    assert "cannot be read" in problems(tmp_path)[0]
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("tasks: {größe: binary}".encode("latin1"))
    assert "cannot be read" in problems(latin)[0]


def test_a_file_is_named_in_every_problem(tmp_path):
    path = written(tmp_path, "tasks: {click: binry}\ntraning: 1")
    found = problems(path)
    assert len(found) == 2
    assert all(problem.startswith(f"{path}: ") for problem in found)


@pytest.mark.parametrize(("text", "value"), [("1e-3", 1e-3), ("2E-4", 2e-4), ("1e0", 1.0), ("5", 5.0), ("'0.5'", 0.5)])
def test_exponents_are_numbers(tmp_path, text, value):
    path = written(tmp_path, f"tasks: {{click: binary}}\noptimizer: {{lr: {text}}}")
    assert Config.make(path).optimizer.lr == value
    assert Config.make({"tasks": TASKS}, overrides=parse_overrides([f"optimizer.lr={text}"])).optimizer.lr == value


def test_overrides_reach_any_place():
    pairs = [
        'optimizer.subnets."tower.click".lr=0.25',
        "balance.gradients=pcgrad",
        "balance.gradients.rescale=false",
        "network.sharing.hidden=[3, 4]",
        "training.patience=null",
        "tasks.buy={kind: binary, reads: [click]}",
        "tasks.click.label=clicked=really",
    ]
    raw = {"tasks": copy.deepcopy(TASKS)}
    config = Config.make(raw, overrides=parse_overrides(pairs))
    assert config.optimizer.subnets["tower.click"].lr == 0.25
    assert (config.balance.gradients.kind, config.balance.gradients.rescale) == ("pcgrad", False)
    assert config.network.sharing.hidden == [3, 4]
    assert config.training.patience is None
    assert config.tasks["buy"].reads == ("click",)
    assert config.tasks["click"].label == "clicked=really"
    assert raw == {"tasks": TASKS}


def test_overrides_leave_the_mapping_as_it_was():
    raw = copy.deepcopy(FULL)
    Config.make(raw, overrides={'optimizer.subnets."tower.*".lr': 9.0, "features.price.log": False})
    assert raw == FULL


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["optimizer.lr"], "write KEY=VALUE"),
        (["optimizer.lr=[1"], "no valid YAML"),
        (["optimizer.lrr=1"], "did you mean 'lr'"),
        (["=1"], "give a path"),
    ],
)
def test_overrides_that_cannot_be(pairs, words):
    with pytest.raises(UserError, match=words):
        Config.make({"tasks": TASKS}, overrides=parse_overrides(pairs))


TEXT = st.text(max_size=4) | st.just("kind")
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.text(max_size=4) | st.just("binary"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
PLACES = [
    path if last is None else (*path, last)
    for path in sections(FULL)
    for last in (None, "kind", "new", "weights", "subnets", "reads")
    if path or last
]


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(PLACES), value=ANYTHING)
def test_whatever_stands_anywhere_is_taken_or_answered_in_words(place, value):
    config, found = None, []
    try:
        config = Config.make(FULL, overrides={".".join(f'"{part}"' for part in place): value})
    except UserError as error:
        found = error.problems
    if config is None:
        assert found
        assert all(len(problem) > len("the config: ") for problem in found)
    else:
        assert Config.make(yaml.safe_load(config.to_yaml())) == config


def test_a_feature_that_is_null_is_left_out():
    raw = {"tasks": {"y": "binary"}, "features": {"a": "numeric", "b.c": "numeric", "d": None}}
    assert list(Config.make(raw).features) == ["a", "b.c"]
    assert list(Config.make(raw, overrides={'features."b.c"': None}).features) == ["a"]
    with pytest.raises(UserError, match="no feature"):
        Config.make(raw, overrides={'features."b.c"': None, "features.a": None})


@pytest.mark.parametrize(
    ("pair", "key", "value"),
    [
        ("optimizer.lr=0.003", "optimizer.lr", 0.003),
        ("optimizer.lr: 0.003", "optimizer.lr", 0.003),
        ('optimizer.subnets."tower.a b".lr: 0.003', 'optimizer.subnets."tower.a b".lr', 0.003),
        ('features."a: b=c": null', 'features."a: b=c"', None),
        ("tasks.y.values={a: 1, b=c: 0}", "tasks.y.values", {"a": 1, "b=c": 0}),
        ("data.train=C:/rows.csv", "data.train", "C:/rows.csv"),
        ("data.train=sqlite:///a.db#b", "data.train", "sqlite:///a.db#b"),
    ],
)
def test_set_takes_what_advice_prints(pair, key, value):
    assert parse_overrides([pair]) == {key: value}


@pytest.mark.parametrize("pair", ["optimizer.lr", "C:/rows.csv", "a.b:1"])
def test_set_without_a_value_is_refused(pair):
    with pytest.raises(UserError, match="write KEY=VALUE"):
        parse_overrides([pair])
