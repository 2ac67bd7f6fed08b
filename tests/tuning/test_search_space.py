import math

import optuna
import pytest

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.tuning.checks import check_space
from trunkline.tuning.space import Space

RAW = {
    "optimizer.lr": {"low": "1e-4", "high": 0.1, "log": True},
    "network.dropout": {"low": 0.0, "high": 0.4, "step": 0.1},
    "training.batch_size": {"low": 64, "high": 512, "step": 64},
    "balance.objective": ["sum", "famo"],
    "network.sharing": {
        "choose": [
            {"kind": "shared_bottom", "hidden": [8]},
            {"kind": "mmoe", "hidden": {"choose": [[4], [8, 4]]}, "experts": {"low": 2, "high": 5}},
        ]
    },
}


def drawn(space, n, *, seed=0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found = []
    for _ in range(n):
        trial = study.ask()
        found.append((space.suggest(trial), trial.params))
        study.tell(trial, 0.0)
    return found


@pytest.fixture(autouse=True)
def _silent():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def test_points_lie_in_the_space_and_reach_all_of_it():
    points = [point for point, _ in drawn(Space.make(RAW), 300)]
    assert all(list(point) == list(RAW) for point in points)
    rates = [point["optimizer.lr"] for point in points]
    assert 1e-4 <= min(rates) < 2e-4
    assert 0.05 < max(rates) <= 0.1
    below = sum(rate < math.sqrt(1e-4 * 0.1) for rate in rates)
    assert 110 < below < 190  # half of them, on a log scale
    assert {round(point["network.dropout"], 9) for point in points} == {0.0, 0.1, 0.2, 0.3, 0.4}
    assert {point["training.batch_size"] for point in points} == set(range(64, 513, 64))
    assert all(type(point["training.batch_size"]) is int for point in points)
    assert {point["balance.objective"] for point in points} == {"sum", "famo"}
    networks = [point["network.sharing"] for point in points]
    assert {network["kind"] for network in networks} == {"shared_bottom", "mmoe"}
    assert all(("experts" in network) == (network["kind"] == "mmoe") for network in networks)
    assert {network["experts"] for network in networks if "experts" in network} == {2, 3, 4, 5}
    assert {tuple(network["hidden"]) for network in networks if "experts" in network} == {(4,), (8, 4)}


def test_what_a_choice_holds_is_drawn_with_that_choice_alone():
    for point, parameters in drawn(Space.make(RAW), 40):
        inside = {"network.sharing=mmoe.experts", "network.sharing=mmoe.hidden"}
        assert (inside <= set(parameters)) == (point["network.sharing"]["kind"] == "mmoe")
        assert (inside & set(parameters) == set()) == (point["network.sharing"]["kind"] != "mmoe")


def test_options_of_one_kind_are_told_apart_in_the_names_of_what_they_hold():
    raw = {"network.sharing": [{"kind": "mmoe", "hidden": [h], "experts": {"low": 2, "high": 3}} for h in (4, 8)]}
    names = {name for _, parameters in drawn(Space.make(raw), 30) for name in parameters}
    assert names == {"network.sharing", "network.sharing=0.experts", "network.sharing=1.experts"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (3, "give a list of choices"),
        ("famo", "give a list of choices"),
        ({"kind": "famo"}, "give a list of choices"),
        ([], "a list of one value or more"),
        ({"choose": 3}, "a list of one value or more"),
        ({"choose": [1], "low": 2}, "stands alone"),
        ([1, 1], "stands twice"),
        ([True, 1], "stands twice"),
        ({"low": 1}, "high is missing"),
        ({"high": 1}, "low is missing"),
        ({"low": 1, "high": 2, "lgo": True}, "unknown key 'lgo'"),
        ({"low": 2, "high": 1}, "low 2 is not below high 1"),
        ({"low": 1, "high": 1}, "not below"),
        ({"low": 0, "high": 1, "log": True}, "above 0"),
        ({"low": 1, "high": 2, "log": "yes"}, "neither true nor false"),
        ({"low": 1, "high": 2, "log": True, "step": 1}, "without log"),
        ({"low": 1, "high": 2, "step": 3}, "does not fit"),
        ({"low": 1, "high": 2, "step": 0}, "does not fit"),
        ({"low": "a", "high": 2}, "'a' is no number"),
        ({"low": True, "high": 2}, "True is no number"),
        ({"low": float("nan"), "high": 2}, "no finite number"),
        ({"low": 1, "high": float("inf")}, "no finite number"),
        ([{"kind": "mmoe", "experts": {"low": 5, "high": 2}}], "low 5 is not below high 2"),
    ],
)
def test_what_is_no_dimension_is_refused_in_words(value, told):
    with pytest.raises(UserError, match=told) as caught:
        Space.make({"x.y": value, "z": 1})
    assert len(caught.value.problems) == 2
    assert all(problem.startswith("tune.space.") for problem in caught.value.problems)


def config(space, **more):
    return Config.make({"tasks": {"a": "binary", "b": "binary"}, "tune": {"space": space}, **more})


def test_every_end_of_a_space_is_tried_on_the_config_before_anything_trains():
    with pytest.raises(UserError) as caught:
        check_space(
            config(
                {
                    "network.dropout": {"low": 0, "high": 2.0},
                    "balance.objective": ["sum", "fame"],
                    "network.sharing": [{"kind": "mmoe", "experts": {"low": 0, "high": 4}}],
                    "data.store": ["x"],
                    "training.seed": [1, 2],
                    "tasks.a.where": ["b"],
                    "optimizer.rate": [1],
                }
            )
        )
    told = "\n".join(caught.value.problems)
    for words in ("dropout: 2.0", "did you mean 'famo'", "data and features", "seeds", "same labels", "'rate'"):
        assert words in told
    assert "experts: 0" in told
    assert "experts: 4" not in told


def test_the_place_of_a_config_in_the_space():
    raw = {k: v for k, v in RAW.items() if k != "network.sharing"}
    inside = {"optimizer": {"lr": 0.003}, "training": {"batch_size": 128}, "balance": {"objective": "famo"}}
    point = {"optimizer.lr": 0.003, "network.dropout": 0.0, "training.batch_size": 128, "balance.objective": "famo"}
    assert Space.make(raw).point_of(config(raw, **inside)) == point
    for outside in (
        {"optimizer": {"lr": 0.3}},
        {"training": {"batch_size": 129}},
        {"training": {"batch_size": 1024}},
        {"balance": {"objective": "uncertainty"}},
    ):
        assert Space.make(raw).point_of(config(raw, **{**inside, **outside})) is None
    rates = {'optimizer.subnets."tower.a".lr': {"low": 0.001, "high": 0.1}}
    assert Space.make(rates).point_of(config(rates)) is None
    own = {"optimizer": {"subnets": {"tower.a": {"lr": 0.01}}}}
    assert Space.make(rates).point_of(config(rates, **own)) == {'optimizer.subnets."tower.a".lr': 0.01}
