from datetime import datetime, timedelta
from itertools import chain

import numpy as np
import polars as pl
import pytest

from trunkline.errors import UserError
from trunkline.tables import ROW, Split, cut, read
from trunkline.tables.splits import assign

PARTS = ("train", "valid", "test")


def table(n, **columns):
    return read(pl.DataFrame({"x": range(n), **columns}))


def rows(parts):
    return {part: frame[ROW].to_list() for part, frame in parts.items()}


@pytest.mark.parametrize("n", [10, 97, 1000])
@pytest.mark.parametrize(("valid", "test"), [(0.1, 0.1), (0.25, 0.0), (0.0, 0.3), (0.2, 0.5)])
def test_random_parts_are_disjoint_exhaustive_and_of_the_right_size(n, valid, test):
    parts, result = cut(table(n), Split(by="random", valid=valid, test=test))
    found = rows(parts)
    assert sorted(chain(*found.values())) == list(range(1, n + 1))
    assert all(numbers == sorted(numbers) for numbers in found.values())
    assert result["rows"] == {part: len(numbers) for part, numbers in found.items()}
    for part, share in (("train", 1 - valid - test), ("valid", valid), ("test", test)):
        assert abs(len(found.get(part, [])) - share * n) <= 1
        assert (part in found) == (share > 0)


def test_random_is_a_function_of_its_seed():
    one, again, other = (rows(cut(table(200), Split(by="random", seed=seed))[0]) for seed in (3, 3, 4))
    assert one == again
    assert one != other


@pytest.mark.parametrize("seed", range(5))
def test_a_group_is_never_on_two_sides(seed):
    groups = np.random.default_rng(seed).integers(0, 40, 500)
    names = [f"user {group}" for group in groups]
    parts, result = cut(table(500, user=names), Split(by="group", column="user", valid=0.25, test=0.25, seed=seed))
    found = {part: set(frame["user"]) for part, frame in parts.items()}
    assert set(found) == set(PARTS)
    assert sum(len(members) for members in found.values()) == len(set(names)) == len(set.union(*found.values()))
    assert {part: len(members) for part, members in found.items()} == {"train": 20, "valid": 10, "test": 10}
    assert sum(result["rows"].values()) == 500


def test_groups_are_drawn_by_seed():
    frame = table(300, user=[i % 30 for i in range(300)])
    one, again, other = (rows(cut(frame, Split(by="group", column="user", seed=seed))[0]) for seed in (0, 0, 1))
    assert one == again
    assert one != other


@pytest.mark.parametrize("seed", range(5))
def test_equal_times_are_never_divided_and_order_is_respected(seed):
    times = np.random.default_rng(seed).integers(0, 25, 400)
    parts, result = cut(table(400, t=times), Split(by="time", column="t", valid=0.2, test=0.2))
    train, valid, test = (parts[part]["t"] for part in PARTS)
    assert train.max() < valid.min() <= valid.max() < test.min()
    assert (result["valid_from"], result["test_from"]) == (valid.min(), test.min())
    assert len(train) + len(valid) + len(test) == 400
    assert abs(len(test) - 80) <= 40


@pytest.mark.parametrize(
    "times",
    [
        [datetime(2024, 1, 1) + timedelta(hours=h) for h in range(100)],
        [f"2024-01-{1 + h // 24:02} {h % 24:02}:00" for h in range(100)],
        [h / 7 for h in range(100)],
        [str(9 + h) for h in range(100)],
        [f"{1 + h % 28:02}/{1 + h // 28:02}/2024" for h in range(100)],
    ],
    ids=["datetime", "text", "float", "whole numbers as text", "day, month and year"],
)
def test_time_of_any_type_in_any_order(times):
    shuffled = np.random.default_rng(0).permutation(100)
    frame = read(pl.DataFrame({"t": [times[i] for i in shuffled], "place": shuffled}))
    parts, result = cut(frame, Split(by="time", column="t", valid=0.1, test=0.2))
    assert {part: set(found["place"]) for part, found in parts.items()} == {
        "train": set(range(70)),
        "valid": set(range(70, 80)),
        "test": set(range(80, 100)),
    }
    if not isinstance(times[0], str) or times[0].startswith("2024"):
        assert str(result["valid_from"]).startswith(str(times[70]))
    assert all(found[ROW].is_sorted() for found in parts.values())


@pytest.mark.parametrize("by", ["time", "group", "random"])
@pytest.mark.parametrize("seed", range(3))
def test_the_column_alone_says_which_part_a_row_is_of(by, seed):
    key = pl.Series("k", np.random.default_rng(seed).integers(0, 30, 300))
    split = Split(by=by, column=None if by == "random" else "k", valid=0.2, test=0.3, seed=seed)
    found, result = assign(split, None if by == "random" else key, rows=300)
    made, expected = cut(table(300, k=key), split)
    assert result == expected
    assert found.dtype == np.int8
    assert {part: (np.flatnonzero(found == i) + 1).tolist() for i, part in enumerate(PARTS)} == rows(made)


def test_only_the_parts_that_are_asked_for():
    frame = table(50, t=range(50))
    assert set(cut(frame, Split(by="time", column="t", valid=0.2, test=0))[0]) == {"train", "valid"}
    parts, result = cut(frame, Split(by="time", column="t", valid=0, test=0))
    assert set(parts) == {"train"}
    assert result == {"rows": {"train": 50}}


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"by": "time", "column": "when"}, "column 'when' is not in the table; did you mean 'then'"),
        ({"by": "time", "column": "then"}, "'then' is null in row 3"),
        ({"by": "group", "column": "then"}, "'then' is null in row 3"),
        ({"by": "time", "column": "same"}, "no row is left"),
        ({"by": "group", "column": "same"}, "no row is left"),
        ({"by": "random", "valid": 0.01}, "no row is left for valid"),
    ],
)
def test_a_split_that_cannot_be_made(split, words):
    frame = table(10, then=[1, 2, None, *range(7)], same=[1] * 10)
    with pytest.raises(UserError, match=words):
        cut(frame, Split(**split))


@pytest.mark.parametrize(
    "options",
    [
        {"by": "time"},
        {"by": "group"},
        {"by": "random", "valid": -0.1},
        {"by": "random", "valid": 0.5, "test": 0.5},
        {"by": "random", "test": 1.0},
    ],
)
def test_a_split_that_cannot_be(options):
    with pytest.raises(UserError, match="split"):
        Split(**options)


@pytest.mark.parametrize(
    ("times", "words"),
    [
        (
            ["10/11/2024", "12/11/2024", "09/11/2024", "01/02/2024"],
            r"may be '%d/%m/%Y' or '%m/%d/%Y'.*data\.split\.format",
        ),
        (["monday", "friday", "sunday", "monday"], "holds 'monday' in row 1; a time is a date, or written as one"),
        (["2024-01-01", "2024-01-02", "2024-02-30", "2024-01-04"], "holds '2024-02-30' in row 3"),
        ([True, False, True, False], "is Boolean; a time is a date, a number or text"),
    ],
)
def test_text_is_never_ordered_as_text(times, words):
    with pytest.raises(UserError, match=words):
        cut(pl.DataFrame({"t": times}), Split(by="time", column="t", valid=0.25, test=0.25))


def test_a_format_or_unit_that_is_given_orders():
    days = pl.DataFrame({"t": ["10/11/2024", "12/10/2024", "09/12/2024", "01/02/2024"]})
    first = {form: cut(days, Split(by="time", column="t", valid=0.25, test=0.25, format=form))[0] for form in FORMS}
    assert first["%d/%m/%Y"]["test"]["t"].to_list() == ["09/12/2024"]
    assert first["%m/%d/%Y"]["test"]["t"].to_list() == ["12/10/2024"]
    seconds = pl.DataFrame({"t": [1.7e9, 1.6e9, 1.65e9, 1.66e9]})
    parts, result = cut(seconds, Split(by="time", column="t", valid=0.25, test=0.25, unit="s"))
    assert parts["test"]["t"].to_list() == [1.7e9]
    assert result["test_from"].startswith("2023-11-14")


FORMS = ("%d/%m/%Y", "%m/%d/%Y")


@pytest.mark.parametrize("seed", range(5))
def test_a_random_split_spreads_rare_values_over_all_parts(seed):
    draw = np.random.default_rng(seed)
    rare = np.zeros(5_000, dtype=int)
    rare[draw.choice(5_000, 21, replace=False)] = 1
    strata = 2 * rare + draw.integers(0, 2, 5_000)
    parts, result = assign(Split(by="random", valid=0.2, test=0.1, seed=seed), None, rows=5_000, strata=strata)
    share = np.bincount(parts, minlength=3) / 5_000
    np.testing.assert_allclose(share, [0.7, 0.2, 0.1], atol=0.002)
    assert sum(result["rows"].values()) == 5_000
    for value in np.unique(strata):
        # What is evenly spread misses its share by no more than a row at each end of the part.
        counts, rows = np.bincount(parts[strata == value], minlength=3), (strata == value).sum()
        assert (abs(counts - rows * np.array([0.7, 0.2, 0.1])) <= 1).all()
    assert (np.bincount(parts[rare == 1], minlength=3) >= 1).all()


def test_single_rows_of_many_strata_do_not_all_end_in_one_part():
    parts, _ = assign(Split(by="random", valid=0.2, test=0.2), None, rows=4_000, strata=np.arange(4_000))
    np.testing.assert_allclose(np.bincount(parts) / 4_000, [0.6, 0.2, 0.2], atol=0.03)


@pytest.mark.parametrize("seed", range(5))
def test_training_has_a_row_of_every_class_whatever_is_drawn(seed):
    draw = np.random.default_rng(seed)
    classes = np.concatenate([np.arange(40), draw.integers(0, 3, 400)])
    other = draw.integers(0, 200, 440)
    split = Split(by="random", valid=0.3, test=0.3, seed=seed)
    parts, result = assign(split, None, rows=440, strata=classes, classes=[classes, other])
    assert set(classes[parts == 0]) == set(classes)
    assert set(other[parts == 0]) == set(other)
    assert result["rows"] == {part: int((parts == i).sum()) for i, part in enumerate(("train", "valid", "test"))}
    without, _ = assign(split, None, rows=440, strata=classes)
    assert not ((parts != without) & (parts != 0)).any()  # rows only come to training
