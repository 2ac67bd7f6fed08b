"""Intervals hold what they promise, in simulations whose truth is known."""

import math

import numpy as np
import pytest

from trunkline.insight.statistics.intervals import Interval, Seeds, between_seeds, interval, welch_satterthwaite
from trunkline.insight.statistics.verdict import verdict

ROWS, SEEDS, RESAMPLES = 400, 3, 120


def simulated(draw, *, truth, seed_spread, row_spread, others=3):
    """Seeds' means of a network, single-task networks and others, and the difference of the first two resampled.

    A run's metric is the mean over rows of a number a row; networks differ by `truth`, rows differ in what sharing
    does for them, and seeds move a run as a whole.
    """
    rows = truth + row_spread * draw.normal(size=ROWS)
    moved = seed_spread * draw.normal(size=(2 + others, SEEDS))
    mine, reference = rows.mean() + moved[0], moved[1]
    weights = draw.poisson(1.0, size=(RESAMPLES, ROWS))
    resampled = weights @ rows / weights.sum(1) + moved[0].mean() - moved[1].mean()
    return Seeds(mine), Seeds(reference), [Seeds(one) for one in moved], resampled


@pytest.mark.parametrize(("seed_spread", "row_spread"), [(0.02, 0.4), (0.02, 0.05), (0.001, 0.4)])
def test_intervals_cover_the_true_difference(seed_spread, row_spread):
    draw, times = np.random.default_rng(0), 300
    inside = 0
    for _ in range(times):
        mine, reference, others, resampled = simulated(draw, truth=0.03, seed_spread=seed_spread, row_spread=row_spread)
        spread = between_seeds([mine, reference], [mine, reference, *others[2:]])
        found = interval(mine.mean - reference.mean, spread, resampled, tail=0.025)
        inside += found.low < 0.03 < found.high
    assert 0.92 <= inside / times <= 0.985


def test_twenty_true_nulls_seldom_show_any_difference():
    draw, comparisons, verdicts = np.random.default_rng(1), 100, 8
    claimed = 0
    for _ in range(comparisons):
        said = []
        for _ in range(verdicts):
            mine, reference, others, resampled = simulated(draw, truth=0.0, seed_spread=0.02, row_spread=0.2)
            spread = between_seeds([mine, reference], [mine, reference, *others[2:]])
            change = interval(mine.mean - reference.mean, spread, resampled, tail=0.025 / verdicts)
            said.append(verdict("t", change))
        claimed += any(one != "no difference seen" for one in said)
    assert claimed <= 0.1 * comparisons


def test_a_true_difference_is_seen():
    draw = np.random.default_rng(2)
    seen = 0
    for _ in range(50):
        mine, reference, others, resampled = simulated(draw, truth=0.2, seed_spread=0.02, row_spread=0.4)
        spread = between_seeds([mine, reference], [mine, reference, *others[2:]])
        seen += verdict("t", interval(mine.mean - reference.mean, spread, resampled, tail=0.025 / 15)) == "t gains"
    assert seen >= 45


def test_the_variance_between_seeds_is_pooled_over_networks():
    calm = [Seeds(np.array([0.0, 1, 2]) + i) for i in range(4)]
    assert between_seeds(calm[:2], calm) == pytest.approx((2 / 3, 8))
    assert between_seeds(calm[:1], calm) == pytest.approx((1 / 3, 8))
    assert between_seeds(calm[:2], calm[:2]) == pytest.approx((2 / 3, 4))


def test_a_network_that_is_far_less_stable_than_most_has_its_own_variance_and_leaves_others_theirs():
    calm = [Seeds(np.array([0.0, 1, 2]) + i) for i in range(4)]
    wild = Seeds(np.array([0.0, 30, -30]))
    assert between_seeds(calm[:2], [*calm, wild]) == pytest.approx((2 / 3, 8))
    variance, df = between_seeds([wild, calm[0]], [*calm, wild])
    assert variance == pytest.approx(900 / 3 + 1 / 3)
    assert df == pytest.approx(2, rel=0.01)


def test_one_seed_cannot_tell():
    one, three = Seeds(np.array([0.5])), Seeds(np.array([0.0, 1, 2]))
    assert between_seeds([one, three], [three]) is None
    found = interval(0.1, None, np.zeros(10), tail=0.1)
    assert found == Interval(0.1)
    assert verdict("dwell", found) == "one seed cannot tell"


def test_what_seeds_do_not_move_needs_no_more_than_one():
    trees, three = Seeds(np.array([0.5]), fixed=True), Seeds(np.array([0.0, 1, 2]))
    assert between_seeds([trees, three], [trees, three]) == pytest.approx((1 / 3, 2))
    assert between_seeds([trees], [trees]) == (0.0, math.inf)


def test_a_metric_that_half_of_the_resamples_do_not_know_has_no_interval():
    draws = np.array([0.1, 0.2, np.nan, np.nan, np.nan])
    assert interval(0.1, (0.01, 4), draws, tail=0.1) == Interval(0.1)
    assert interval(0.1, (0.01, 4), np.array([0.1, 0.2, 0.3, np.nan]), tail=0.1).low is not None
    assert interval(math.nan, (0.01, 4), np.zeros(4), tail=0.1).low is None


def test_runs_that_do_not_differ_at_all_are_a_point():
    found = interval(0.0, (0.0, math.inf), np.zeros(5), tail=0.1)
    assert (found.low, found.high, found.df) == (0.0, 0.0, None)
    assert verdict("t", found) == "no difference seen"


def test_degrees_of_freedom_are_welchs():
    assert welch_satterthwaite([1.0, 1.0], [4, 4]) == pytest.approx(8)
    assert welch_satterthwaite([1.0, 0.0], [4, 9]) == pytest.approx(4)
    assert welch_satterthwaite([1.0, 1.0], [4, math.inf]) == pytest.approx(16)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.01, 0.2, "dwell gains"),
        (-0.2, -0.01, "dwell loses"),
        (-0.1, 0.1, "no difference seen"),
        (0.0, 0.1, "no difference seen"),
        (None, None, "one seed cannot tell"),
    ],
)
def test_words_say_what_the_interval_allows(low, high, words):
    assert verdict("dwell", Interval(0.05, low, high)) == words


def test_without_a_baseline_there_is_nothing_to_say():
    assert verdict("dwell", None) == "nothing to compare with"
