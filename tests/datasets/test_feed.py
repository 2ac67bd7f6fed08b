import numpy as np
import polars as pl
import pytest

from trunkline.datasets import feed
from trunkline.datasets.feed import FEATURES, TRUTH, simulate, split
from trunkline.errors import UserError


def area(label, score):
    """The area under the ROC curve by the rank formula (the scores are continuous: no ties)."""
    ranks = np.empty(len(score))
    ranks[np.argsort(score)] = np.arange(1, len(score) + 1)
    positives = label.sum()
    wins = ranks[label == 1].sum() - positives * (positives + 1) / 2
    return wins / (positives * (len(label) - positives))


@pytest.fixture(scope="module", params=[0, 1, 2])
def frame(request):
    return simulate(seed=request.param)


def rows_with(frame, label):
    there = frame.filter(pl.col(label).is_not_null())
    return there[label].to_numpy(), there[TRUTH[label]].to_numpy()


@pytest.mark.parametrize("label", ["click", "purchase"])
def test_truth_is_calibrated_overall_and_by_tenths(frame, label):
    seen, truth = rows_with(frame, label)
    for rows in (np.arange(len(truth)), *np.array_split(np.argsort(truth), 10)):
        spread = np.sqrt((truth[rows] * (1 - truth[rows])).sum()) / len(rows)
        assert abs(seen[rows].mean() - truth[rows].mean()) < 4.5 * spread


def test_expected_dwell_is_calibrated_by_fifths(frame):
    seen, truth = rows_with(frame, "dwell")
    for rows in (np.arange(len(truth)), *np.array_split(np.argsort(truth), 5)):
        assert abs(seen[rows].mean() - truth[rows].mean()) < 4.5 * seen[rows].std() / np.sqrt(len(rows))


def test_rates_and_best_possible_scores(frame):
    assert frame["click"].mean() == pytest.approx(feed.CLICK_RATE, abs=0.01)
    assert frame["purchase"].mean() == pytest.approx(feed.PURCHASE_RATE, abs=0.015)
    assert 0.75 < area(*rows_with(frame, "click")) < 0.80
    assert 0.75 < area(*rows_with(frame, "purchase")) < 0.81
    seen, truth = (np.log(values) for values in rows_with(frame, "dwell"))
    assert 0.36 < np.corrcoef(seen, truth)[0, 1] ** 2 < 0.44
    assert 15 < frame["dwell"].median() < 25
    assert frame["dwell"].max() > 40 * frame["dwell"].median()


def test_dwell_and_purchase_exist_exactly_after_a_click(frame):
    clicked = frame["click"] == 1
    assert (frame["dwell"].is_not_null() == clicked).all()
    assert (frame["purchase"].is_not_null() == clicked).all()
    assert (frame["dwell"].drop_nulls() > 0).all()
    assert set(frame["click"].unique()) == {0, 1}
    assert set(frame["purchase"].drop_nulls().unique()) == {0, 1}


def test_columns(frame):
    assert frame.columns == [*FEATURES, *TRUTH, *TRUTH.values()]
    assert frame.schema["user"] == pl.Int64
    assert frame.schema["returning"] == pl.Boolean
    assert frame["time"].is_sorted()
    assert 27 < (frame["time"].max() - frame["time"].min()).total_seconds() / 86_400 < 28
    for name in frame.columns:
        some_missing = name in ("price", "age", "dwell", "purchase")
        assert (0 < frame[name].null_count() < frame.height) == some_missing, name


def test_user_ids_need_64_bits(frame):
    ids = frame["user"].unique()
    assert ids.min() >= 2**53
    assert ids.cast(pl.Float64).n_unique() < len(ids)
    assert frame.group_by("user").agg(pl.col("returning").n_unique())["returning"].max() == 1


def test_seed_decides_everything_and_the_global_generator_is_left_alone():
    before = np.random.get_state()  # noqa: NPY002 - the global generator is what is being watched
    one, same, other = (simulate(500, users=40, items=15, seed=seed) for seed in (7, 7, 8))
    after = np.random.get_state()  # noqa: NPY002 - see above
    assert one.equals(same)
    assert not one.equals(other)
    assert all(np.array_equal(left, right) for left, right in zip(before, after, strict=True))


@pytest.mark.parametrize(("rows", "users", "items"), [(1, 1, 1), (7, 1, 3), (3, 50, 1), (200, 5, 12_000)])
def test_odd_sizes(rows, users, items):
    frame = simulate(rows, users=users, items=items)
    assert frame.height == rows
    assert frame.select(pl.col(TRUTH.values()).is_finite().all()).row(0) == (True, True, True)
    parts = split(frame)
    assert pl.concat(parts.values()).equals(frame)


def test_impossible_sizes_are_named_together():
    with pytest.raises(UserError) as caught:
        simulate(0, users=-1)
    assert caught.value.problems == [
        "a feed needs rows of at least 1, found 0",
        "a feed needs users of at least 1, found -1",
    ]


def test_split_is_by_time_whatever_the_order(frame):
    parts = split(frame.sample(fraction=1.0, shuffle=True, seed=3))
    assert [part.height for part in parts.values()] == [42_000, 9_000, 9_000]
    assert list(parts) == ["train", "valid", "test"]
    assert parts["train"]["time"].max() <= parts["valid"]["time"].min()
    assert parts["valid"]["time"].max() <= parts["test"]["time"].min()
