"""Thresholds: against scikit-learn and against every threshold there is."""

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_curve, precision_score, recall_score

from trunkline import UserError
from trunkline.inference import operating_points
from trunkline.inference.decision import decide, decisions, with_decisions
from trunkline.inference.decision_rules import F1, At, Cost, Rate, parse_rule
from trunkline.inference.operating_points import OperatingPoints, read_points, write_points
from trunkline.tasks import Binary, Multiclass, Regression

DRAWN = [(3, 2, False), (40, 40, False), (200, 7, True), (1_001, 500, True), (5_000, 5_000, False)]
"""Rows, different estimates at most, and whether rows have weights."""


def drawn(rows, values, weighted, *, seed=0, base=0.3):
    """Estimates of which many may be tied, labels that follow them, some of them missing, and weights, some of 0."""
    draw = np.random.default_rng((seed, rows))
    grid = (draw.permutation(1 << 14)[:values] + 0.5) / (1 << 14)
    estimate = torch.from_numpy(draw.choice(grid, rows).astype(np.float32))
    estimate[:2] = torch.from_numpy(grid[:2])
    label = torch.from_numpy((draw.random(rows) < base * (0.2 + estimate.numpy())).astype(np.float32))
    label[:2] = torch.tensor([0.0, 1.0])
    label[2:][torch.from_numpy(draw.random(rows - 2) < 0.1)] = torch.nan
    weight = torch.from_numpy(draw.choice([0.0, 0.5, 2.0], rows).astype(np.float32)) if weighted else None
    if weight is not None:
        weight[:2] = 1.0
    return estimate, label, weight


def observed(estimate, label, weight):
    """What scikit-learn is given."""
    there = ~label.isnan()
    heavy = torch.ones_like(label) if weight is None else weight
    return label[there].numpy(), estimate[there].double().numpy(), heavy[there].double().numpy()


@pytest.mark.parametrize(("rows", "values", "weighted"), DRAWN)
def test_f1_is_the_greatest_of_the_precision_recall_curve(rows, values, weighted):
    one = drawn(rows, values, weighted)
    truth, score, heavy = observed(*one)
    precision, recall, _ = precision_recall_curve(truth, score, sample_weight=heavy)
    with np.errstate(invalid="ignore"):
        best = np.nanmax(2 * precision * recall / (precision + recall))

    found = decide("click", F1(), OperatingPoints.of(*one))

    assert found.f1 == pytest.approx(best, rel=1e-12)
    flags = score >= found.threshold
    assert found.f1 == pytest.approx(f1_score(truth, flags, sample_weight=heavy), rel=1e-12)
    assert found.precision == pytest.approx(precision_score(truth, flags, sample_weight=heavy), rel=1e-12)
    assert found.recall == pytest.approx(recall_score(truth, flags, sample_weight=heavy), rel=1e-12)
    assert found.flagged == pytest.approx(float((one[0].double() >= found.threshold).double().mean()), rel=1e-12)
    assert (found.labelled, found.positives) == (int((heavy > 0).sum()), int(truth[heavy > 0].sum()))


@pytest.mark.parametrize("costs", [(1.0, 1.0), (5.0, 1.0), (1.0, 20.0), (0.01, 3.0), (1e6, 1.0)])
@pytest.mark.parametrize(("rows", "values", "weighted"), DRAWN)
def test_cost_is_the_least_over_every_threshold(rows, values, weighted, costs):
    one = drawn(rows, values, weighted)
    truth, score, heavy = observed(*one)

    def cost(threshold):
        (_, false), (missed, _) = confusion_matrix(truth, score >= threshold, sample_weight=heavy, labels=[0, 1])
        return (costs[0] * false + costs[1] * missed) / heavy.sum()

    thresholds = [*np.unique(one[0].double().numpy())[:: max(1, values // 60)], np.inf]
    found = decide("click", Cost(*costs), OperatingPoints.of(*one))

    assert found.cost <= min(map(cost, thresholds)) * (1 + 1e-12) + 1e-12
    assert found.cost == pytest.approx(cost(found.threshold), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
@pytest.mark.parametrize(("rows", "values", "weighted"), DRAWN)
def test_rate_flags_as_near_the_share_as_ties_allow(rows, values, weighted, share):
    one = drawn(rows, values, weighted)
    estimate = one[0].double()
    every = [float((estimate >= value).double().mean()) for value in estimate.unique()] + [0.0]

    found = decide("click", Rate(share), OperatingPoints.of(*one))

    assert found.flagged == pytest.approx(float((estimate >= found.threshold).double().mean()))
    assert abs(found.flagged - share) == pytest.approx(min(abs(one - share) for one in every), abs=1e-12)


def test_of_equal_thresholds_the_one_that_flags_fewest_is_taken():
    # two cuts with F1 2/3, two with cost 2
    points = OperatingPoints.of(torch.tensor([0.9, 0.6, 0.3, 0.1]), torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert decide("t", F1(), points).flagged == 0.25
    assert decide("t", Cost(1, 1), points).flagged == 0.25
    assert decide("t", Rate(0.375), points).flagged == 0.25
    assert 0.6 < decide("t", F1(), points).threshold < 0.9


def test_a_threshold_lies_between_the_estimates_that_it_parts():
    points = OperatingPoints.of(torch.tensor([0.5, 0.25]), torch.tensor([1.0, 0.0]))
    assert [points.threshold(cut) for cut in range(3)] == [0.75, 0.375, 0.125]
    ends = OperatingPoints.of(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert ends.threshold(0) > 1
    assert ends.threshold(2) == 0.0
    assert [points.cut(points.threshold(cut)) for cut in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("base", [1e-6, 0.01, 0.3, 0.999])
def test_rows_that_rounding_alone_parts_are_one(base):
    """The same row in a batch of another shape has other last bits; no threshold lies between them."""
    draw = np.random.default_rng(0)
    bits = 1 + draw.integers(-3, 4, (40, 2)) * np.finfo(np.float32).eps
    estimate = torch.from_numpy((np.array([base, base / 2]) * bits).ravel().astype(np.float32))
    points = OperatingPoints.of(estimate, torch.from_numpy(draw.integers(0, 2, 80).astype(np.float32)))
    assert points.rows.tolist() == [40.0, 40.0]
    assert points.threshold(1) == pytest.approx(0.75 * base, rel=1e-6)
    with pytest.raises(UserError, match="same estimate but for rounding"):
        decide("click", F1(), OperatingPoints.of(estimate[::2], torch.arange(40) % 2))


def test_estimates_that_lie_dense_are_told_apart():
    estimate = torch.from_numpy(np.linspace(0.01, 0.0101, 20_000).astype(np.float32))
    points = OperatingPoints.of(estimate, torch.arange(20_000) % 2)
    assert len(points.rows) == len(estimate.unique())


def test_estimates_are_held_against_the_threshold_in_64_bits():
    low = np.float32(0.3)
    pair = np.array([low, np.nextafter(low, np.float32(1))])
    (decision,) = decisions({"click": At(float(pair.astype(np.float64).mean()))}, [Binary(name="click")], None).values()
    made = with_decisions(pl.DataFrame({"click": pair}), {"click": decision})
    assert made["click_decision"].to_list() == [0, 1]


@pytest.mark.parametrize("most", [1, 7, 100])
def test_very_many_estimates_are_grouped_and_counts_stay_exact(most, monkeypatch):
    monkeypatch.setattr(operating_points, "MOST", most)
    one = drawn(3_000, 2_000, weighted=True)
    truth, score, heavy = observed(*one)
    points = OperatingPoints.of(*one)
    assert 1 <= len(points.rows) <= most
    for cut in range(len(points.rows) + 1):
        flags = score >= points.threshold(cut)
        assert points.flagged[cut] == float((one[0].double() >= points.threshold(cut)).sum())
        assert points.true_positive[cut] == pytest.approx((heavy * flags * (truth == 1)).sum())
        assert points.false_positive[cut] == pytest.approx((heavy * flags * (truth == 0)).sum())


def test_points_come_back_from_their_file(tmp_path):
    points = {
        "click": OperatingPoints.of(*drawn(300, 50, weighted=True)),
        "a-b_c": OperatingPoints.of(*drawn(9, 9, False)),
    }
    write_points(tmp_path / "v.safetensors", points)
    found = read_points(tmp_path / "v.safetensors", [Binary(name=name) for name in points])
    assert list(found) == list(points)
    for task, one in points.items():
        assert all(np.array_equal(vars(one)[name], vars(found[task])[name]) for name in vars(one))


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [[1.0, 2.0, 3.0]]},
        {"rows": [1.0, 2.0]},
        {"rows": [0.0, 2.0, 3.0]},
        {"positive": [1.0, -1.0, 0.0]},
        {"negative": [np.nan, 1.0, 1.0]},
        {"highest": [0.5, 0.75, 0.25]},
        {"highest": [1.5, 0.5, 0.25]},
        {"lowest": [0.75, 0.5, -0.25]},
        {"lowest": [0.875, 0.5, 0.25]},
        {"ones": 0},
        {"zeros": -1},
    ],
)
def test_points_that_no_rows_give_are_refused(change):
    sound = {"highest": [0.75, 0.5, 0.25], "lowest": [0.75, 0.5, 0.25], "rows": [1.0, 2.0, 3.0]}
    sound |= {"positive": [1.0, 0.0, 0.0], "negative": [0.0, 2.0, 3.0], "ones": 1, "zeros": 5}
    for given in (sound, sound | change):
        arrays = {name: np.array(value) if isinstance(value, list) else value for name, value in given.items()}
        if given is sound:
            assert OperatingPoints(**arrays).flagged.tolist() == [0, 1, 3, 6]
        else:
            with pytest.raises(UserError, match="operating points must be"):
                OperatingPoints(**arrays)


TASKS = [Binary(name="click"), Binary(name="buy"), Regression(name="dwell"), Multiclass(name="topic")]


def test_everything_that_is_wrong_is_said_at_once():
    points = {
        "click": OperatingPoints.of(torch.full((4,), 0.25), torch.tensor([0.0, 1.0, 0.0, torch.nan])),
        "buy": OperatingPoints.of(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.0, 0.0, torch.nan])),
    }
    asked = {"clik": "f1", "dwell": "f1", "topic": "rate:0.5", "click": "f1", "buy": "cost:1:2"}
    with pytest.raises(UserError) as told:
        decisions(asked, TASKS, points)
    words = [
        "there is no task 'clik'; did you mean 'click'",
        "decide dwell=f1: a threshold turns the probability of a binary task",
        "decide topic=rate:0.5",
        "all 4 validation rows have the same estimate but for rounding, 0.25",
        "rows of both labels are needed to choose a threshold, and of the run's 3 validation rows 0 have label 1 and 2",
    ]
    assert len(told.value.problems) == len(words)
    assert all(word in problem for word, problem in zip(words, told.value.problems, strict=True))


NO_RULES = (
    *("", "f2", "f1:1", "cost", "cost:1", "cost:a:b", "cost:0:1", "cost:1:nan", "cost:1:inf", "cost:-1:1"),
    *("rate", "rate:0", "rate:1", "rate:nan", "rate:ten", "at", "at:1.5", "at:-0.1", "at:nan"),
)


@pytest.mark.parametrize("text", NO_RULES)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(UserError):
        parse_rule(text)


@pytest.mark.parametrize("rule", [F1(), Cost(5.0, 0.25), Rate(0.125), At(0.1 + 0.2)])
def test_a_rule_is_read_back_from_its_text(rule):
    assert parse_rule(str(rule)) == rule


def test_without_validation_rows_only_a_given_threshold_decides():
    with pytest.raises(UserError, match=r"kept no validation rows.*data\.valid"):
        decisions({"click": "f1"}, TASKS, None)
    (found,) = decisions({"click": "at:0.3"}, TASKS, None).values()
    assert (found.threshold, found.rows, found.flagged, found.f1) == (0.3, 0, None, None)
    assert str(found) == "click_decision: 1 where click >= 0.3 (at:0.3)"


def test_a_given_threshold_is_told_with_its_scores():
    one = drawn(500, 500, weighted=False)
    truth, score, _ = observed(*one)
    (found,) = decisions({"click": At(0.4)}, TASKS, {"click": OperatingPoints.of(*one)}).values()
    assert found.threshold == 0.4
    assert found.f1 == pytest.approx(f1_score(truth, score >= 0.4))


def test_a_column_of_decisions_may_not_have_a_tasks_name():
    with pytest.raises(UserError, match="would have the name of a task"):
        decisions({"click": "at:0.5"}, [Binary(name="click"), Binary(name="click_decision")], None)


def test_rare_labels_are_said_to_leave_it_to_chance():
    label = torch.zeros(100)
    label[:3] = 1
    found = decide("click", F1(), OperatingPoints.of(torch.linspace(1, 0, 100), label))
    assert "of label 1 only 3, so few that chance has chosen" in str(found)
    many = decide("click", F1(), OperatingPoints.of(torch.linspace(1, 0, 100), torch.arange(100) % 2))
    assert "chance" not in str(many)
