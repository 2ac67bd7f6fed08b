"""Labels as people write them: words, marks and rows that do not count."""

import json

import numpy as np
import polars as pl
import pytest

from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.tables import Labels
from trunkline.tables.doctor import propose
from trunkline.tables.label_values import read_labels

WORDS = [("Yes", "No"), ("true", "false"), ("ja", "nein"), ("oui", "non"), ("+", "-"), ("2", "1"), ("ÄPFEL", "birnen")]


def tasks(**given):
    return build_tasks(Config.make({"data": {"train": "x"}, "tasks": given}))


def encoded(frame, **given):
    labels = Labels.fit(tasks(**given), frame)
    again = Labels.from_json(tasks(**given), json.loads(json.dumps(labels.to_json())))
    found = {name: values.tolist() for name, values in labels.encode(frame).items()}
    for name, values in again.encode(frame).items():
        np.testing.assert_array_equal(values, found[name])
    return found


@pytest.mark.parametrize(("yes", "no"), WORDS)
@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_two_words_of_any_language(yes, no, kind):
    frame = pl.DataFrame({"y": pl.Series([yes, no, None, f" {yes} ", no], dtype=pl.String).cast(kind)})
    for task in ({"positive": yes}, {"positive": yes, "negative": no}, {"values": {yes: 1, no: 0}}):
        found = encoded(frame, y={"kind": "binary", **task})["y"]
        np.testing.assert_array_equal(found, [1, 0, np.nan, 1, 0])


def test_a_third_word_is_refused_with_its_row_where_the_second_is_known():
    frame = pl.DataFrame({"y": ["Yes", "No", "maybe", "Yes"]})
    with pytest.raises(UserError, match=r"column 'y' holds 'maybe' in row 3; a label of y is 'Yes' or 'No'"):
        encoded(frame, y={"kind": "binary", "positive": "Yes", "negative": "No"})
    assert encoded(frame, y={"kind": "binary", "positive": "Yes"})["y"] == [1, 0, 0, 1]
    with pytest.raises(UserError, match=r"holds 'yes' in row 2; that is nearly 'Yes'"):
        encoded(pl.DataFrame({"y": ["Yes", "yes", "No"]}), y={"kind": "binary", "positive": "Yes"})


@pytest.mark.parametrize("kind", [pl.Int8, pl.Int64, pl.Float32, pl.String])
def test_numbers_are_meant_by_their_value(kind):
    column = pl.Series([2, 1, -1, 2], dtype=pl.Int64).cast(kind)
    for task in ({"values": {"2": 1, "1": 0, "-1": "missing"}}, {"positive": 2, "negative": 1, "missing": [-1]}):
        np.testing.assert_array_equal(
            encoded(pl.DataFrame({"y": column}), y={"kind": "binary", **task})["y"], [1, 0, np.nan, 1]
        )


@pytest.mark.parametrize("mark", ["NA", "?", "null", r"\N", "-1", "n/a"])
def test_marks_of_missing_leave_numbers(mark):
    frame = pl.DataFrame({"y": ["0", mark, "1", "1"], "z": ["0.5", "7", mark, "3"]})
    found = encoded(frame, y={"kind": "binary", "missing": mark}, z={"kind": "regression", "missing": [mark]})
    np.testing.assert_array_equal(found["y"], [0, np.nan, 1, 1])
    np.testing.assert_array_equal(found["z"], [0.5, 7, np.nan, 3])


def test_values_of_levels_may_be_words():
    frame = pl.DataFrame({"y": ["p", "n", "x", "p", "z"]})
    found = encoded(frame, y={"kind": "multiclass", "values": {"p": "good", "n": "bad", "x": "missing"}})["y"]
    np.testing.assert_array_equal(found, [1, 0, np.nan, 1, 2])  # bad, good, z
    stars = {"kind": "ordinal", "levels": ["low", "high"], "values": {"1": "low", "2": "low", "3": "high"}}
    assert encoded(pl.DataFrame({"y": [1, 3, 2, 1]}), y=stars)["y"] == [0, 1, 0, 0]


def test_words_without_a_meaning_are_refused_by_name():
    frame = pl.DataFrame({"y": ["bought", "kept", "returned"]})
    with pytest.raises(
        UserError, match=r"holds 'kept' in row 2; it is neither a number nor one of 'bought', 'returned'"
    ):
        encoded(frame, y={"kind": "binary", "values": {"bought": 1, "returned": 0}})
    with pytest.raises(UserError, match="'bought' stands for 'one'; a binary label is a number, or `missing`"):
        encoded(frame, y={"kind": "binary", "values": {"bought": "one"}})
    with pytest.raises(UserError, match="one of both says it"):
        tasks(y={"kind": "binary", "positive": "a", "values": {"a": 1}})
    with pytest.raises(UserError, match="needs another word as positive"):
        tasks(y={"kind": "binary", "negative": "a"})


def test_yes_in_a_file_is_a_word(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "tasks: {y: {kind: binary, positive: Yes, negative: no}}\ntraining: {compile: off}"
    )
    config = Config.make(tmp_path / "c.yaml")
    assert (config.tasks["y"].options["positive"], config.tasks["y"].options["negative"]) == ("Yes", "no")
    assert config.training.compile is False
    (tmp_path / "d.yaml").write_text(config.to_yaml())
    assert Config.make(tmp_path / "d.yaml") == config


@pytest.mark.parametrize("outside", [0.0, -5.0, float("inf")])
def test_rows_outside_where_are_not_looked_at(outside):
    frame = pl.DataFrame({"click": [1, 0, 1, None, 1], "dwell": [3.0, outside, 5.0, outside, 4.0]})
    found = encoded(frame, dwell={"kind": "lognormal", "where": "click"}, click="binary")
    np.testing.assert_array_equal(found["dwell"], [3, np.nan, 5, np.nan, 4])
    with pytest.raises(UserError, match=r"in row 2"):
        encoded(frame, dwell="lognormal", click="binary")


def test_rows_outside_where_may_hold_words_and_where_reaches_through_chains():
    frame = pl.DataFrame(
        {
            "seen": ["Yes", "Yes", "No", "Yes", "Yes"],
            "click": [1, 0, 1, 1, 1],
            "stars": ["3", "-", "none", "4", "5"],
            "topic": ["a", "?", "?", "b", "a"],
        }
    )
    given = {
        "stars": {"kind": "poisson", "where": "click"},
        "topic": {"kind": "multiclass", "where": "click"},
        "click": {"kind": "binary", "where": "seen"},
        "seen": {"kind": "binary", "positive": "Yes"},
    }
    labels = Labels.fit(tasks(**given), frame)
    assert labels.classes["topic"] == ["a", "b"]
    np.testing.assert_array_equal(labels.encode(frame)["stars"], [3, np.nan, np.nan, 4, 5])


@pytest.mark.parametrize("factor", [1e-300, 1e-50, 1e-12, 1.0, 1e25])
def test_row_weights_of_any_scale_say_the_same(factor):
    weight = np.array([1.0, 2.0, 0.0, 0.5])
    frame = pl.DataFrame({"y": [0, 1, 0, 1], "w": weight * factor})
    labels = Labels.fit(tasks(y={"kind": "binary", "weight": "w"}), frame)
    found = labels.weights(frame)["y"].double().numpy()
    np.testing.assert_allclose(found / found[0], weight, rtol=1e-6)
    again = Labels.from_json(labels.tasks, json.loads(json.dumps(labels.to_json())))
    assert again.weight_scales == labels.weight_scales
    assert labels.weight_scales == ({} if 1e-9 < factor < 1e29 else labels.weight_scales)


def test_row_weights_that_are_all_zero_are_refused():
    frame = pl.DataFrame({"y": [0, 1], "w": [0.0, 0.0]})
    with pytest.raises(UserError, match=r"weight column 'w' has no weight above 0 in train"):
        Labels.fit(tasks(y={"kind": "binary", "weight": "w"}), frame)


PAIRS = [("Yes", "No"), ("ja", "nein"), ("Oui", "Non"), ("churned", "stayed"), ("not ok", "ok")]
WAYS = [str, str.upper, str.lower, lambda word: f" {word}", lambda word: f"{word.title()}  "]


def spelt(words, rows=300):
    draw = np.random.default_rng(rows)
    meant = draw.choice(len(words), rows, p=[0.3, *[0.7 / (len(words) - 1)] * (len(words) - 1)])
    return meant, pl.Series("y", [WAYS[draw.integers(len(WAYS))](words[i]) for i in meant])


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_two_words_in_many_spellings_are_two_labels(pair):
    meant, label = spelt(pair)
    found = propose(label)
    assert found.kind == "binary"
    assert any("differ only in case or blanks" in remark for remark in found.remarks)
    (task,) = tasks(y={"kind": found.kind, **found.options})
    assert read_labels(task, label).to_list() == (meant == 0).astype(float).tolist()
    with pytest.raises(UserError, match="maybe"):
        encoded(pl.DataFrame({"y": [*label, "maybe"]}), y={"kind": found.kind, **found.options})


def test_spellings_of_more_words_are_told_and_stay_apart():
    words = ["low", "Mid", "high"]
    meant, label = spelt(words)
    found = propose(label)
    assert (found.kind, found.options) == ("multiclass", {})
    told = "; ".join(found.remarks)
    assert all(repr(cell) in told for cell in label.unique())
    classes = encoded(pl.DataFrame({"y": label}), y={"kind": "multiclass"})["y"]
    assert len({*classes}) == label.n_unique()
    values = {way(word).strip(): word for word in words for way in WAYS}
    joined = encoded(pl.DataFrame({"y": label}), y={"kind": "multiclass", "values": values})["y"]
    assert len({*zip(joined, meant.tolist(), strict=True)}) == len(words)
    assert propose(pl.Series("y", words * 50)).remarks == []


WRITTEN = {
    "euros": ({"decimal": ",", "thousands": ".", "strip": "€"}, ["1.234,50 €", "0,5 €", None, "-12 €"]),
    "dollars": ({"thousands": ",", "strip": "$"}, ["$1,234.50", "$0.5", None, "-$12"]),
    "percent": ({"strip": "%"}, ["1234.5%", "0.50 %", "", "-12%"]),
    "words": ({"decimal": ","}, ["1234,5", "0,5", "n/a", "-12"]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_numbers_are_read_as_people_write_them(name):
    form, cells = WRITTEN[name]
    found = encoded(pl.DataFrame({"y": cells}), y={"kind": "regression", "format": form, "missing": ["n/a"]})["y"]
    np.testing.assert_array_equal(found, [1234.5, 0.5, np.nan, -12])
    found = encoded(pl.DataFrame({"y": cells}), y={"kind": "ordinal", "format": form, "missing": ["n/a"]})["y"]
    np.testing.assert_array_equal(found, [2, 1, np.nan, 0])
    with pytest.raises(UserError, match=r"holds 'much' in row 5; it is no number in the format of tasks\.y\.format"):
        encoded(pl.DataFrame({"y": [*cells, "much"]}), y={"kind": "regression", "format": form, "missing": ["n/a"]})
    with_word = {"kind": "regression", "format": form, "values": {"much": 99, "n/a": "missing"}}
    assert encoded(pl.DataFrame({"y": [*cells, "much"]}), y=with_word)["y"][-1] == 99


def test_a_format_that_is_none_is_refused():
    for form in ({"decimal": ";"}, {"point": "."}, {"strip": 7}):
        with pytest.raises(UserError, match="format"):
            tasks(y={"kind": "regression", "format": form})


@pytest.mark.parametrize("name", WRITTEN)
def test_a_label_is_proposed_with_how_its_numbers_are_written(name):
    draw = np.random.default_rng(0)
    form, _ = WRITTEN[name]
    numbers = np.round(np.exp(draw.normal(size=400) + 6.5), 2)

    def write(value):
        text = f"{value:,.2f}".replace(",", "_").replace(".", form.get("decimal", "."))
        sign = form.get("strip", "")
        return (
            ("$" if sign == "$" else "") + text.replace("_", form.get("thousands", "")) + (sign if sign != "$" else "")
        )

    label = pl.Series("y", [write(value) for value in numbers] + ["n/a"])
    found = propose(label, comma_likely=name == "words")
    assert (found.kind, found.options) == ("lognormal", {"format": form, "missing": ["n/a"]})
    (read,) = tasks(y={"kind": found.kind, **found.options})
    assert read_labels(read, label).to_list() == [*numbers.tolist(), None]
    assert propose(pl.Series("y", draw.choice(["a 1", "b 2", "c"], 400))).kind == "multiclass"
