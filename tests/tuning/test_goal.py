import pytest

from trunkline.assembly.checks import check_config
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.tuning.goal import Goal

TASKS = {"click": "binary", "dwell": "regression", "share": "binary"}
SCORES = {
    "click": {"auc": 0.7, "log_loss": 0.5, "rows": 9},
    "dwell": {"r2": 0.2, "rmse": 40.0, "rows": 9},
    "share": {"auc": None, "log_loss": 0.1, "rows": 9},
}


def goal(**tune):
    config = Config.make({"tasks": TASKS, "tune": {"space": {"optimizer.lr": [1]}, **tune}})
    return Goal.make(config.tune, check_config(config))


def test_without_a_word_each_task_counts_by_its_headline_metric():
    assert goal().names == ["click.auc", "dwell.r2", "share.auc"]
    assert goal().signs == [1, 1, 1]


def test_objectives_go_the_way_that_is_better():
    made = goal(objectives=["dwell.rmse", "click", "share.log_loss"])
    assert (made.names, made.signs) == (["dwell.rmse", "click.auc", "share.log_loss"], [-1, 1, -1])
    assert made.values(SCORES) == [40.0, 0.7, 0.1]
    assert made.better(SCORES) == [-40.0, 0.7, -0.1]


def test_a_utility_is_one_number_in_which_errors_count_negative():
    made = goal(utility={"click": 2, "dwell.rmse": 0.01})
    assert (made.names, made.signs) == (["utility"], [1])
    assert made.values(SCORES) == pytest.approx([2 * 0.7 - 0.01 * 40])


def test_guardrails_are_broken_by_as_much_as_is_lost_too_much():
    made = goal(
        objectives=["click"],
        guardrails={
            "click": {"may_lose": 0.02, "at_least": 0.6},
            "dwell.rmse": {"may_lose": 1.0, "at_most": 39.5},
        },
    )
    config = {"click": {"auc": 0.71}, "dwell": {"rmse": 38.0}}
    excess = made.excess(SCORES, config)
    assert list(excess.values()) == pytest.approx([0.01 - 0.02, 0.6 - 0.7, 2.0 - 1.0, 40 - 39.5])
    assert [name for name, value in excess.items() if value > 0] == ["dwell.rmse may lose 1", "dwell.rmse at most 39.5"]
    assert made.needs_config
    assert not goal(guardrails={"click": {"at_least": 0.5}}).needs_config
    assert [score.name for score in made.shown] == ["click.auc", "dwell.rmse"]


def test_a_score_that_is_not_defined_is_said_to_be_so():
    with pytest.raises(UserError, match=r"share\.auc is not defined on the validation rows"):
        goal(objectives=["share"]).values(SCORES)
    assert goal(objectives=["share", "click"]).reported(SCORES) == {"click.auc": 0.7}


@pytest.mark.parametrize(
    ("tune", "told"),
    [
        ({"objectives": ["clik"]}, "tune.objectives: 'clik' is no score.*did you mean 'click'"),
        ({"objectives": ["click.rmse"]}, "'click.rmse' is no score"),
        ({"objectives": ["click.calibration"]}, "'click.calibration' is no score"),
        ({"objectives": ["click", "click.auc"]}, "stands twice"),
        ({"utility": {"buy": 1}}, "tune.utility: 'buy' is no score"),
        ({"guardrails": {"buy": {"at_least": 1}}}, "tune.guardrails: 'buy' is no score"),
        ({"objectives": []}, "tune.objectives"),
        ({"utility": {}}, "tune.utility"),
        ({"utility": {"click": 1}, "objectives": ["click"]}, "objectives or a utility, not both"),
        ({"guardrails": {"click": {}}}, "needs may_lose, at_least or at_most"),
        ({"guardrails": {"click": {"may_lose": -1}}}, "may_lose"),
        ({"guardrails": {"click": {"may_loose": 1}}}, "did you mean 'may_lose'"),
        ({"trials": 0}, "tune.trials"),
        ({"space": {}}, "tune.space"),
    ],
)
def test_what_is_no_goal_is_refused_in_words(tune, told):
    with pytest.raises(UserError, match=told):
        goal(**tune)
