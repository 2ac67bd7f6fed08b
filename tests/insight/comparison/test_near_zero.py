"""Δm is formed over tasks whose score alone is clear of 0, and over no others."""

import numpy as np
import pytest

from trunkline.insight.comparison.analysis import delta_m
from trunkline.insight.comparison.near_zero import near_zero
from trunkline.insight.statistics.intervals import Seeds


def scored(*seeds, error=0.0, rows=400):
    return Seeds(np.array(seeds)), np.mean(seeds) + error * np.random.default_rng(0).normal(size=rows)


@pytest.mark.parametrize("value", [0.5, 0.52, 0.9])
def test_an_auc_is_never_near_zero(value):
    assert near_zero(*scored(value, value + 0.01, error=0.02)) is None


@pytest.mark.parametrize("value", [-0.4, 0.0, 0.0009, 0.009])
def test_a_score_of_next_to_nothing_is(value):
    assert "score alone" in near_zero(*scored(value, value, error=1e-6))


def test_one_whose_interval_holds_zero_is_and_one_clear_of_it_is_not():
    assert "past 0" in near_zero(*scored(0.05, error=0.04))
    assert near_zero(*scored(0.05, error=0.01)) is None
    assert "past 0" in near_zero(*scored(0.02, 0.12))  # seeds alone
    steady = [Seeds(np.array([0.3, 0.301, 0.299]))] * 4
    assert near_zero(*scored(0.055, 0.057, error=1e-4), steady) is None


def test_delta_is_the_mean_of_relative_changes():
    """Maninis et al. 2019, eq. 4, by hand."""
    assert delta_m({"a": 0.6, "b": 0.1}, {"a": 0.5, "b": 0.2}) == pytest.approx((0.2 - 0.5) / 2)
