"""Labels that a likelihood cannot have, sample spaces, levels, and tasks that have learned already."""

import itertools
import json
import math

import polars as pl
import pytest

from trunkline.errors import UserError
from trunkline.runs.artifacts import read_fitted, write_fitted
from trunkline.tables import Encoder, Labels, make_feature
from trunkline.tables.labels import LabelsFitter
from trunkline.tables.rows import ROW
from trunkline.tasks import (
    TASK_KINDS,
    Binary,
    Lognormal,
    Multiclass,
    NegativeBinomial,
    Ordinal,
    Poisson,
    Regression,
    ZeroInflatedLognormal,
)

NAN = float("nan")
CLICK, BUY, PAY = Binary(name="click"), Binary(name="buy", space="click"), Binary(name="pay", space="buy")
CHAIN = [CLICK, BUY, PAY]
POSSIBLE = {"click": [1, 0, 1, 0], "buy": [1, 0, 0, None], "pay": [1, 0, 0, None]}


def fit(tasks, **columns):
    return Labels.fit(tasks, pl.DataFrame(columns))


def in_chunks(tasks, frame, cuts, *, known=None):
    fitter = LabelsFitter(tasks, known=known)
    for start, end in itertools.pairwise([0, *cuts, len(frame)]):
        fitter.see(frame[start:end])
    return fitter.done()


IMPOSSIBLE = [
    ({"click": [1, 0, 1, 0, 1], "buy": [1, 0, 0, 1, 0]}, "task buy: column 'buy' holds 1 in row 4; .*click .'click'."),
    (
        {"click": [1, 1, 1, 0], "buy": [1, 0, 1, 0], "pay": [0, 1, 1, 0]},
        "task pay: column 'pay' holds 1 in row 2; .*buy .'buy'.",
    ),
    # what lies between is not known, but that no click means no payment is
    (
        {"click": [1, 1, 0], "buy": [1, 0, None], "pay": [1, 0, 1]},
        "task pay: column 'pay' holds 1 in row 3; .*click .'click'.",
    ),
    ({"click": [True, False], "buy": [False, True]}, "task buy: column 'buy' holds True in row 2"),
]


@pytest.mark.parametrize("cuts", [[], [1], [1, 2, 3]], ids=str)
@pytest.mark.parametrize(("columns", "words"), IMPOSSIBLE, ids=[words for _, words in IMPOSSIBLE])
def test_what_happened_without_its_space_is_named(columns, words, cuts):
    tasks = CHAIN[: len(columns)]
    with pytest.raises(UserError, match=words) as found:
        in_chunks(tasks, pl.DataFrame(columns), [cut for cut in cuts if cut < len(columns["click"])])
    assert len(found.value.problems) == 1
    labels = fit(CHAIN, **POSSIBLE)
    rest = {"click": 1, "buy": 0, "pay": 0}
    with pytest.raises(UserError, match=words):
        labels.encode(pl.DataFrame({name: columns.get(name, [rest[name]] * len(columns["buy"])) for name in rest}))


def test_the_row_is_the_tables_own():
    frame = pl.DataFrame({"click": [0, 1], "buy": [1, 0], ROW: [17, 18]})
    with pytest.raises(UserError, match="row 17"):
        Labels.fit(CHAIN[:2], frame)


def test_where_the_outer_label_is_not_known_nothing_is_contradicted():
    found = fit(CHAIN[:2], click=[1, 0, None, 1], buy=[0, 0, 1, 1]).encode(
        pl.DataFrame({"click": [None, 0, 0], "buy": [1, None, 0]})
    )
    assert found["buy"].tolist() == [1, 0, 0]


def test_a_wrong_outer_label_is_said_once_whatever_the_order():
    for tasks in ([CLICK, BUY], [BUY, CLICK]):
        with pytest.raises(UserError) as found:
            fit(tasks, click=[1, 2, 0], buy=[1, 0, 0])
        assert [problem[:11] for problem in found.value.problems] == ["task click:"]
        with pytest.raises(UserError) as found:
            fit(tasks, clicks=[1, 0, 0], buy=[1, 0, 0])
        assert [problem[:11] for problem in found.value.problems] == ["task click:"]


def test_rows_outside_the_space_count_as_ones_in_which_it_did_not_happen():
    """Nothing but nulls and ones beside them is no constant label: no click is no purchase."""
    labels = fit(CHAIN[:2], click=[1, 0, 0], buy=[1, None, None])
    assert labels.encode(pl.DataFrame({"click": [0, 1], "buy": [None, None]}))["buy"].tolist()[0] == 0


RULES = [
    (Poisson(name="y"), [0, 3, -1, 2], "-1", 3),
    (Poisson(name="y"), [0.0, 1.5, 2.0], "1.5", 2),
    (NegativeBinomial(name="y"), [0, 2, None, -4], "-4", 4),
    (Lognormal(name="y"), [1.0, 2.0, 0.0], "0", 3),
    (Lognormal(name="y"), [1.0, -2.0, 0.5], "-2", 2),
    (ZeroInflatedLognormal(name="y"), [1.5, 0.0, -0.5, 2.0], "-0.5", 3),
    (Poisson(name="y"), [1.0, math.inf, 2.0], "inf", 2),
]


@pytest.mark.parametrize(("task", "values", "shown", "row"), RULES, ids=lambda v: getattr(v, "kind", str(v)))
@pytest.mark.parametrize("chunked", [False, True])
def test_a_label_that_the_likelihood_cannot_have(task, values, shown, row, chunked):
    rule = "labels are finite" if shown == "inf" else task.rule
    frame = pl.DataFrame({"y": values})
    with pytest.raises(UserError) as found:
        in_chunks([task], frame, [1] if chunked else [])
    (problem,) = found.value.problems
    assert problem.startswith(f"task y: column 'y' holds {shown} in row {row}; ")
    assert rule in problem
    # so it is in rows that come later
    labels = Labels.fit([task], frame.with_row_index().filter(pl.col("index") != row - 1).drop("index"))
    with pytest.raises(UserError, match=f"holds {shown} in row {row}"):
        labels.encode(frame)


@pytest.mark.parametrize("kind", TASK_KINDS.values(), ids=TASK_KINDS)
def test_the_rule_in_words_is_the_rule_in_numbers(kind):
    """NaN is never asked about; whatever a kind allows, its loss is finite there."""
    import torch

    task = kind(name="y", levels=("a", "b")) if kind is Ordinal else kind(name="y")
    values = torch.tensor([-2.0, -0.5, 0.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    allowed = task.allowed(values)
    assert allowed.dtype == torch.bool
    assert allowed.shape == values.shape
    assert kind.rule
    if not task.leveled:
        raw = torch.zeros(len(values), task.outputs, dtype=torch.float64)
        assert task.loss(raw[allowed], values[allowed]).isfinite().all()


SIZES = ("S", "M", "L", "XL")


def test_levels_of_text_stand_in_the_order_given():
    task = Ordinal(name="size", levels=SIZES)
    for cuts in ([], [1], [2, 3]):
        labels = in_chunks([task], pl.DataFrame({"size": ["XL", "S", None, "M"]}), cuts)
        (learned,) = labels.tasks
        assert learned.values == SIZES  # `L` too, which these rows do not have
        assert labels.classes == {"size": list(SIZES)}
        places = labels.encode(pl.DataFrame({"size": ["S", "M", "L", "XL", None]}))["size"].tolist()
        assert places[:4] == [0, 1, 2, 3]
        assert math.isnan(places[4])


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([5, 1, 3, None], (1, 3, 5)),
        ([10, 9, 2], (2, 9, 10)),
        ([0.5, -1.0, NAN, 2.0], (-1.0, 0.5, 2.0)),
        ([True, False], (False, True)),
    ],
)
def test_levels_that_are_numbers_are_sorted(values, levels):
    labels = fit([Ordinal(name="y")], y=values)
    assert labels.tasks[0].values == levels
    assert labels.classes == {"y": list(levels)}
    assert labels.encode(pl.DataFrame({"y": list(levels)}))["y"].tolist() == list(range(len(levels)))


def test_numbers_may_be_given_in_another_order_and_come_as_floats():
    labels = fit([Ordinal(name="y", levels=(3, 2, 1))], y=[1, 2, 3])
    assert labels.encode(pl.DataFrame({"y": [3.0, 1.0, None]}))["y"].tolist()[:2] == [0, 2]


@pytest.mark.parametrize(
    ("task", "values", "words"),
    [
        (Ordinal(name="y"), ["S", "M"], r"task y: column 'y' holds text \('M', 'S'\).*`levels`, lowest first"),
        (Ordinal(name="y", levels=("S", "M")), ["S", "M", "L"], r"holds 'L' in train, which levels \['S', 'M'\] lack"),
        (Ordinal(name="y", levels=(1, 2)), [1, 2, 7], r"holds 7 in train, which levels \[1, 2\] lack"),
        (Ordinal(name="y", levels=("S", "M")), ["S", "S"], "constant"),
        (Ordinal(name="y"), [1.0, math.inf], "'y' holds inf in row 2"),
    ],
)
def test_levels_that_cannot_be(task, values, words):
    with pytest.raises(UserError, match=words):
        fit([task], y=values)


def test_a_level_that_later_rows_bring():
    labels = fit([Ordinal(name="stars"), Ordinal(name="size", levels=SIZES)], stars=[1, 5, 3], size=["S", "M", "L"])
    with pytest.raises(UserError) as found:
        labels.encode(pl.DataFrame({"stars": [1, 2], "size": ["XXL", "XL"]}))
    stars, size = found.value.problems
    assert "task stars: column 'stars' holds 2 in row 2" in stars
    assert "(1, 3, 5)" in stars
    assert "task size: column 'size' holds 'XXL' in row 1" in size
    assert "('S', 'M', 'L', 'XL')" in size


EVERY = [
    CLICK,
    BUY,
    Ordinal(name="size", levels=SIZES),
    Ordinal(name="stars"),
    Multiclass(name="topic"),
    Poisson(name="visits"),
    Lognormal(name="dwell", where="click"),
    Regression(name="price"),
]
ROWS = {
    "click": [1, 0, 1, 1],
    "buy": [1, None, 0, None],
    "size": ["L", "S", None, "M"],
    "stars": [4, 1, None, 5],
    "topic": ["b", None, "ü", "a"],
    "visits": [0, 7, 1, None],
    "dwell": [3.5, None, 8.25, 1.0],
    "price": [0.1, 0.2, 0.3, None],
    "age": [1.0, 2.0, None, 4.0],
}


def test_what_was_learned_goes_through_encoder_json(tmp_path):
    frame = pl.DataFrame(ROWS)
    labels, encoder = Labels.fit(EVERY, frame), Encoder.fit([make_feature(name="age", kind="numeric")], frame)
    write_fitted(tmp_path / "encoder.json", encoder, labels)
    again_encoder, again = read_fitted(tmp_path / "encoder.json", EVERY)
    assert again == labels
    assert again_encoder.to_json() == encoder.to_json()
    before, after = labels.encode(frame), again.encode(frame)
    for name, label in before.items():
        assert label.dtype == after[name].dtype
        assert label.numpy().tobytes() == after[name].numpy().tobytes(), name


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"columns": {}}', "cut", "a task less"])
def test_a_damaged_encoder_json_says_so(tmp_path, damage):
    frame, path = pl.DataFrame(ROWS), tmp_path / "encoder.json"
    write_fitted(path, Encoder.fit([make_feature(name="age", kind="numeric")], frame), Labels.fit(EVERY, frame))
    text = path.read_text()
    plain = json.loads(text)
    plain["labels"].pop("stars")
    path.write_text({"cut": text[:-9], "a task less": json.dumps(plain)}.get(damage, damage))
    with pytest.raises(UserError, match=r"encoder\.json cannot be read"):
        read_fitted(path, EVERY)


def test_tasks_that_have_learned_keep_what_they_know():
    known = fit(EVERY, **ROWS)
    new = [Ordinal(name="mood"), Regression(name="age")]
    other = {
        "click": [1, 1],
        "buy": [0, 0],
        "size": [None, "XL"],
        "stars": [5, 5],
        "topic": ["a", "a"],
        "visits": [100, 200],
        "dwell": [None, None],
        "price": [1e6, None],
        "mood": [2, 1],
        "age": [30.0, 40.0],
    }
    frame = pl.DataFrame(other, schema_overrides={"dwell": pl.Float64})
    for cuts in ([], [1]):
        labels = in_chunks([*EVERY, *new], frame, cuts, known=known)
        assert labels.tasks[: len(EVERY)] == known.tasks
        assert {name: labels.classes[name] for name in known.classes} == known.classes
        assert labels.tasks[-2].values == (1, 2)
        assert labels.tasks[-1].center == 35
    with pytest.raises(UserError, match=r"task topic: column 'topic' holds 'new' in row 1; .*'a', 'b', 'ü'"):
        in_chunks([*EVERY, *new], frame.with_columns(topic=pl.lit("new")), [], known=known)
    with pytest.raises(UserError, match="task mood: column 'mood' is constant"):
        in_chunks([*EVERY, *new], frame.with_columns(mood=pl.lit(1)), [], known=known)
