import itertools
import json
import math
import re
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import UserError
from trunkline.tables import ROW, Labels, Split, cut, read
from trunkline.tables.labels import LabelsFitter
from trunkline.tasks import TASK_KINDS, Binary, Multiclass, Regression

NAN = float("nan")


def fit(tasks, **columns):
    return Labels.fit(tasks, pl.DataFrame(columns))


def encoded(labels, **columns):
    return {name: tensor.tolist() for name, tensor in labels.encode(pl.DataFrame(columns)).items()}


def same(found, expected):
    np.testing.assert_array_equal(found, [NAN if value is None else value for value in expected])


BINARY = [Binary(name="y")]


@pytest.mark.parametrize(
    "values",
    [
        [0, 1, None, 1],
        [0.0, 1.0, None, 1.0],
        [0.0, 1.0, NAN, 1.0],
        [False, True, None, True],
        pl.Series([0, 1, None, 1], dtype=pl.UInt8),
        pl.Series([0, 1, None, 1], dtype=pl.Float32),
    ],
)
def test_binary_labels_of_every_type(values):
    same(encoded(fit(BINARY, y=values), y=values)["y"], [0, 1, None, 1])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 1, 2], "'y' holds 2 in row 3"),
        ([0, None, -1, 1], "'y' holds -1 in row 3"),
        ([0.0, 0.5, 1.0], "'y' holds 0.5 in row 2"),
        ([0.0, 1.0, math.inf], "'y' holds inf in row 3"),
        (["no", "yes"], r"'y' is String .*binary label is 0/1 or true/false; for words say tasks\.y\.positive"),
    ],
)
def test_wrong_binary_labels_are_named(values, words):
    with pytest.raises(UserError, match=f"task y: column {words}"):
        fit(BINARY, y=values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["1.5e", "two"], "'y' is String .*regression label is numbers"),
        ([1.0, 2.0, -math.inf], "'y' holds -inf in row 3; labels are finite"),
        ([[1.0], [2.0]], "'y' is List"),
    ],
)
def test_wrong_regression_labels_are_named(values, words):
    with pytest.raises(UserError, match=f"task y: column {words}"):
        fit([Regression(name="y")], y=values)


@pytest.mark.parametrize("task", [Binary(name="y"), Regression(name="y"), Multiclass(name="y")])
@pytest.mark.parametrize("values", [[None, None], [NAN, None], [NAN, NAN]])
def test_a_label_that_is_never_observed(task, values):
    with pytest.raises(UserError, match="task y: column 'y' has no observed label in train"):
        Labels.fit([task], pl.DataFrame({"y": pl.Series(values, dtype=pl.Float64)}))


@pytest.mark.parametrize(
    ("task", "values"),
    [
        (Binary(name="y"), [0, 0, None]),
        (Binary(name="y"), [True]),
        (Regression(name="y"), [2.5, None, 2.5]),
        (Multiclass(name="y"), ["a", "a", None]),
        (Multiclass(name="y"), [3]),
    ],
)
def test_a_constant_label(task, values):
    with pytest.raises(UserError, match=r"'y' is constant in train .*nothing to learn"):
        Labels.fit([task], pl.DataFrame({"y": values}))


NUMBERS = [
    Regression(name="z", label="y"),
    Regression(name="z", label="y", standardize=False),
    *(TASK_KINDS.find(kind)(name="z", label="y") for kind in ("lognormal", "zero_inflated_lognormal")),
]


@pytest.mark.parametrize("task", NUMBERS, ids=lambda task: task.kind)
@pytest.mark.parametrize("power", [-320, -300, -150, -45, -32])
def test_numbers_too_small_for_float32(task, power):
    values = (np.array([0.5, 1, 3, 1.5]) * 10.0**power).tolist()
    with pytest.raises(UserError) as found:
        fit([task], y=values)
    (told,) = found.value.problems
    assert told.startswith("task z: column 'y' holds no label farther from 0 than ")
    remedy = float(re.search(r"give it in another unit \(times 1e(\d+)\)", told)[1])
    assert abs(remedy + power) <= 1  # brings them near 1
    fit([task], y=[value * 10.0 ** (remedy / 2) * 10.0 ** (remedy / 2) for value in values])


@pytest.mark.parametrize("center", [1.0, -5e8, 1e16, 1e29])
def test_numbers_that_only_rounding_sets_apart(center):
    values = [center, float(np.nextafter(center, math.inf)), center]
    with pytest.raises(UserError, match=r"task y: column 'y' is all but constant in train: 3 labels near .*; subtract"):
        fit([Regression(name="y")], y=values)


def test_small_numbers_are_told_together_with_other_faults():
    with pytest.raises(UserError) as found:
        fit([Regression(name="a"), Binary(name="b")], a=[1e-200, 2e-200], b=[1, 1])
    assert [one.split(":")[0] for one in found.value.problems] == ["task a", "task b"]


def test_regression_units_come_from_observed_training_rows():
    values = [1.0, None, 4.0, NAN, 7.0]
    (task,) = fit([Regression(name="y")], y=values).tasks
    assert task.center == pytest.approx(4.0)
    assert task.scale == pytest.approx(np.std([1.0, 4.0, 7.0]))
    (plain,) = Labels.fit([Regression(name="y", standardize=False)], pl.DataFrame({"y": values})).tasks
    assert (plain.center, plain.scale) == (0, 1)


def test_regression_labels_keep_float64():
    value = 2.0**53 - 1
    assert encoded(fit([Regression(name="y")], y=[value, 0.0]), y=[value])["y"] == [value]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", None, "ü", ""], ["", "a", "b", "ü"]),
        ([30, -1, None, 2], [-1, 2, 30]),
        ([2.0, NAN, 1.0], [1.0, 2.0]),
        ([True, False, None], [False, True]),
        (pl.Series(["b", "a"]).cast(pl.Categorical), ["a", "b"]),
        ([2**53 + 1, 2**53], [2**53, 2**53 + 1]),
    ],
)
def test_multiclass_of_every_type(values, classes):
    labels = fit([Multiclass(name="y")], y=values)
    assert labels.classes == {"y": classes}
    assert labels.tasks[0].classes == len(classes)
    found = encoded(labels, y=values)["y"]
    for code, value in zip(found, pl.Series(values).to_list(), strict=True):
        missing = value is None or value != value
        assert math.isnan(code) if missing else classes[int(code)] == value


def test_many_classes():
    values = [f"class {i}" for i in range(17)]
    assert sorted(encoded(fit([Multiclass(name="y")], y=values), y=values)["y"]) == list(range(17))


def test_whole_classes_may_come_back_as_floats():
    labels = fit([Multiclass(name="y")], y=[1, 2, 3])
    same(encoded(labels, y=[3.0, None, 1.0])["y"], [2, None, 0])


def test_a_class_that_training_did_not_have():
    labels = fit([Multiclass(name="y")], y=["a", "b"])
    with pytest.raises(UserError, match=r"task y: column 'y' holds 'c' in row 2; .*no such class \('a', 'b'\)"):
        labels.encode(pl.DataFrame({"y": ["a", "c"]}))


def test_an_infinite_class_is_refused():
    with pytest.raises(UserError, match="'y' holds inf in row 2"):
        fit([Multiclass(name="y")], y=[1.0, math.inf, 2.0])


CHAIN = [
    Binary(name="click"),
    Regression(name="dwell", where="click"),
    Binary(name="buy", where="click"),
    Multiclass(name="size", label="shoe", where="buy"),
]
ROWS = {
    "click": [1, 0, 1, None, 1, 1],
    "dwell": [5.0, 6.0, None, 8.0, 9.0, 1.0],
    "buy": [1, 1, 0, 1, None, 1],
    "shoe": ["s", "m", "l", "s", "m", "l"],
}


def test_where_leaves_other_rows_unobserved_through_chains_too():
    labels = fit(CHAIN, **ROWS)
    found = encoded(labels, **ROWS)
    same(found["click"], [1, 0, 1, None, 1, 1])
    same(found["dwell"], [5, None, None, None, 9, 1])
    same(found["buy"], [1, None, 0, None, None, 1])
    sizes = labels.classes["size"]
    same(found["size"], [sizes.index("s"), None, None, None, None, sizes.index("l")])
    assert labels.tasks[1].center == pytest.approx(5.0)


def test_a_label_without_an_observed_row_inside_its_where():
    with pytest.raises(UserError, match="no observed label in train where click happened"):
        fit(CHAIN[:2], click=[1, 0, 1], dwell=[None, 2.0, None])
    with pytest.raises(UserError, match="constant in train where click happened"):
        fit(CHAIN[:2], click=[1, 0, 1], dwell=[3.0, 2.0, 3.0])


WEIGHED = [Binary(name="y", weight="w")]


def test_weights_are_float32_of_the_tasks_that_have_them():
    labels = fit([*WEIGHED, Regression(name="z")], y=[0, 1], z=[1.0, 2.0])
    found = labels.weights(pl.DataFrame({"w": [0, 3]}))
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"y": [0, 3]}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, -0.5], "'w' holds -0.5 in row 2"),
        ([None, 1.0], "'w' holds None in row 1"),
        ([1.0, math.inf], "'w' holds inf in row 2"),
        ([1.0, NAN], "'w' holds nan in row 2"),
        (["1", "2"], "'w' is String"),
    ],
)
def test_weights_that_cannot_be(values, words):
    labels = fit(WEIGHED, y=[0, 1])
    with pytest.raises(UserError, match=f"task y: (weight )?column {words}"):
        labels.weights(pl.DataFrame({"w": values}))


def test_missing_label_and_weight_columns_come_with_a_guess():
    labels = fit(WEIGHED, y=[0, 1])
    with pytest.raises(UserError, match="weight column 'w' is not in the table"):
        labels.weights(pl.DataFrame({"y": [1]}))
    with pytest.raises(UserError) as found:
        fit([Binary(name="click"), Multiclass(name="shop"), Regression(name="dwell")], clicks=[0, 1], dwells=[1, 2])
    assert len(found.value.problems) == 3
    assert "'click' is not in the table; did you mean 'clicks'?" in found.value.problems[0]


def test_all_bad_labels_come_at_once():
    with pytest.raises(UserError) as found:
        fit([Binary(name="a"), Regression(name="b"), Binary(name="c")], a=[0, 2], b=["x", "y"], c=[0, 1])
    assert [problem[:7] for problem in found.value.problems] == ["task a:", "task b:"]


def test_a_bad_label_keeps_its_row_number_after_a_split():
    frame = read(pl.DataFrame({"t": range(50), "y": [0, 1] * 20 + [0] * 5 + [7] + [0] * 4}))
    parts, _ = cut(frame, Split(by="time", column="t", valid=0.2, test=0))
    labels = Labels.fit(BINARY, parts["train"])
    with pytest.raises(UserError, match="holds 7 in row 46"):
        labels.encode(parts["valid"])


def test_json_round_trip():
    labels = fit(CHAIN, **ROWS)
    again = Labels.from_json(CHAIN, json.loads(json.dumps(labels.to_json())))
    assert again == labels


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_training_rows_may_come_in_chunks(data):
    table = pl.DataFrame({**ROWS, "price": [0.1, 7.0, None, NAN, 1e9, 3.0]})
    table = table.sample(30, with_replacement=True, seed=data.draw(st.integers(0, 9)))
    tasks = [*(replace(t, standardize=False) if t.name == "dwell" else t for t in CHAIN), Regression(name="price")]
    cuts = sorted(data.draw(st.lists(st.integers(0, 30), max_size=5)))
    fitter = LabelsFitter(tasks)
    for start, end in itertools.pairwise([0, *cuts, 30]):
        fitter.see(table[start:end])
    streamed, whole = fitter.done(), Labels.fit(tasks, table)
    assert streamed.classes == whole.classes
    assert streamed.tasks[:-1] == whole.tasks[:-1]
    assert streamed.tasks[-1].center == pytest.approx(whole.tasks[-1].center, rel=1e-12)
    assert streamed.tasks[-1].scale == pytest.approx(whole.tasks[-1].scale, rel=1e-9)


def test_a_label_that_varies_only_from_chunk_to_chunk():
    fitter = LabelsFitter([Binary(name="y"), Multiclass(name="z")])
    for y, z in ((None, "a"), (0, "a"), (0, None), (1, "b")):
        fitter.see(pl.DataFrame({"y": [y], "z": [z]}))
    assert fitter.done().classes == {"z": ["a", "b"]}


def test_problems_of_all_chunks_come_at_once_with_the_tables_rows():
    fitter = LabelsFitter([Binary(name="a"), Regression(name="b"), Multiclass(name="c"), Binary(name="d")])
    fitter.see(pl.DataFrame({"a": [0, 1], "b": [1.0, 2.0], "c": [1.5, 2.5], "d": [0, 1]}))
    fitter.see(pl.DataFrame({"a": [7], "b": [1.0], "c": [math.inf], "d": [1]}))
    fitter.see(pl.DataFrame({"a": [9], "b": [math.inf], "c": [1.5], "dd": [1], ROW: [50]}))
    words = ["holds 7 in row 3", "holds inf in row 50", "holds inf in row 3", "did you mean 'dd'"]
    assert [word in problem for word, problem in zip(words, fitter.problems, strict=True)] == [True] * 4
    with pytest.raises(UserError) as found:
        fitter.done()
    assert found.value.problems == fitter.problems


def test_a_constant_class_is_named_by_its_value():
    with pytest.raises(UserError, match=r"constant in train \('x' in all 2 observed rows\)"):
        fit([Multiclass(name="y")], y=["x", None, "x"])


@pytest.mark.parametrize("values", [[["a"], ["b"]], [date(2024, 1, 1), date(2024, 1, 2)]])
def test_classes_are_text_or_numbers(values):
    with pytest.raises(UserError, match=r"task y: column 'y' is .*; a multiclass label is text or numbers"):
        fit([Multiclass(name="y")], y=values)
