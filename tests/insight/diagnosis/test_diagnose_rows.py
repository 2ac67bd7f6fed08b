"""What the rows show by themselves: values that are alike, missing, unique, and rows that repeat."""

import numpy as np
import polars as pl
import pytest

from trunkline.config import Config
from trunkline.insight.diagnosis.findings import Observations
from trunkline.insight.diagnosis.findings.repeated_rows import repeated_rows
from trunkline.insight.diagnosis.measures.keys import keyed_columns
from trunkline.insight.diagnosis.measures.missing import missing_shares
from trunkline.insight.diagnosis.measures.repeats import beyond_chance, repeats
from trunkline.insight.diagnosis.measures.variety import FEWEST, constant_columns, single_shares
from trunkline.tables import Batch, Encoder, Labels, Store, make_feature
from trunkline.tasks import Binary

KINDS = {
    "id": "categorical",
    "number": "numeric",
    "flag": "boolean",
    "time": "datetime",
    "tags": "bag",
    "spot": "vector",
    "hash": "hashed",
}
FEATURES = [make_feature(name=n, kind=k, **{"rows": 50} if k == "hashed" else {}) for n, k in KINDS.items()]
N = 400


def table(seed=0, n=N):
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": draw.integers(0, 9, n),
            "number": draw.normal(size=n),
            "flag": draw.random(n) < 0.5,
            "time": pl.Series(draw.integers(0, 10**9, n) * 1000).cast(pl.Datetime("ms")),
            "tags": [list(draw.integers(0, 5, size)) for size in draw.integers(0, 4, n)],
            "spot": draw.normal(size=(n, 2)).tolist(),
            "hash": draw.integers(0, 99, n),
        }
    )


def stores(frames, features=FEATURES):
    encoder = Encoder.fit(features, frames["train"])
    labels = Labels.fit([Binary(name="y")], frames["train"]) if "y" in frames["train"].columns else None
    made = {}
    for part, frame in frames.items():
        encoded = encoder.encode(frame)
        target = {} if labels is None else labels.encode(frame)
        made[part] = Store.of(Batch(encoded.ids, encoded.numbers, target, {}, encoded.lists))
    return encoder, made


def with_holes(frame, share, seed=1):
    draw = np.random.default_rng(seed)
    return frame.with_columns(
        pl.when(pl.Series(draw.random(len(frame)) < share)).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns
    )


@pytest.mark.parametrize(("train", "later"), [(0.3, 0.6), (0.4, 0.0), (0.0, 0.5), (0.0, 0.0)])
def test_missing_values_of_every_kind_are_counted(train, later):
    frames = {"train": with_holes(table(0), train), "valid": with_holes(table(1), later)}
    encoder, made = stores(frames)
    found = missing_shares(encoder, {part: store.rows for part, store in made.items()})
    assert found == {
        name: {part: pytest.approx(frame[name].null_count() / N) for part, frame in frames.items()} for name in KINDS
    }


def test_a_number_at_the_training_mean_is_not_taken_for_a_missing_one():
    train = pl.DataFrame({"x": [0.0, 1.0, 2.0] * 50})
    encoder, made = stores(
        {"train": train, "valid": pl.DataFrame({"x": [1.0] * 60})}, [make_feature(name="x", kind="numeric")]
    )
    assert missing_shares(encoder, {part: store.rows for part, store in made.items()}) == {}


@pytest.mark.parametrize("name", KINDS)
def test_one_value_in_all_rows_is_constant_and_none_is_missing(name):
    frame = table()
    same = frame.with_columns(frame[name].gather([3] * N))
    encoder, made = stores({"train": same})
    assert constant_columns(encoder, made["train"]) == [name]
    empty = frame.with_columns(pl.Series(name, [None] * N, dtype=frame[name].dtype))
    if name != "spot":  # a vector that is never there has no length
        encoder, made = stores({"train": empty})
        assert constant_columns(encoder, made["train"]) == []
    once = same.with_columns(pl.concat([same[name].head(N - 1), frame[name].filter(frame[name] != same[name]).head(1)]))
    encoder, made = stores({"train": once})
    assert constant_columns(encoder, made["train"]) == []


def test_rows_with_an_id_of_their_own_are_counted():
    draw = np.random.default_rng(2)
    ids = {"own": np.arange(N), "few": draw.integers(0, 9, N), "half": np.r_[np.arange(N // 2) + 9, [3] * (N // 2)]}
    frame = pl.DataFrame(ids).with_columns(pl.when(pl.int_range(N) < 250).then(None).otherwise("own").alias("gaps"))
    encoder, made = stores({"train": frame}, [make_feature(name=name, kind="categorical") for name in frame.columns])
    assert single_shares(encoder, made["train"]) == {"own": 1.0, "few": 0.0, "half": 0.5, "gaps": 1.0}
    assert FEWEST > 50
    encoder, made = stores({"train": frame}, [make_feature(name="own", kind="categorical", min_count=2)])
    assert single_shares(encoder, made["train"]) == {"own": 0.0}


def told(train, valid, features):
    encoder, made = stores({"train": train, "valid": valid}, features)
    seen = repeats(encoder, made)
    found = repeated_rows(Observations(config=Config.make({"tasks": {"y": "binary"}}), tasks=("y",), repeats=seen))
    return seen["valid"], found


def labelled(seed, n):
    frame = table(seed, n)
    return frame.with_columns(y=np.random.default_rng(seed + 99).integers(0, 2, n))


def test_rows_of_training_among_later_rows_are_found_in_features_and_labels_alike():
    train, valid = labelled(0, 900), labelled(1, 400)
    mixed = pl.concat([valid[:300], train[:100]])
    seen, (finding,) = told(train, mixed, FEATURES)
    assert (seen.rows, seen.share, seen.single, seen.expected) == (400, 0.25, 0.25, 0.0)
    assert "25.0 % of the valid rows" in finding.sentence
    for column in ("number", "tags", "y"):
        moved = mixed.with_columns(mixed[column].shift(1).fill_null(strategy="backward"))
        assert told(train, moved, FEATURES)[0].share < 0.6 * seen.share


def small(seed, n, values=4):
    """Three columns of a few values, some of them frequent: half of all rows stand there several times."""
    draw = np.random.default_rng(seed)
    columns = {name: np.minimum(draw.geometric(0.5, n), 9 * values) for name in ("id", "hash", "number")}
    return pl.DataFrame(columns | {"y": draw.integers(0, 2, n)})


@pytest.mark.parametrize("seed", range(10))
def test_a_table_of_few_values_repeats_itself_without_fault(seed):
    some = [feature for feature in FEATURES if feature.name in ("id", "hash", "number")]
    seen, found = told(small(seed, 700), small(seed + 50, 300), some)
    assert seen.share > 0.5
    assert found == []


@pytest.mark.parametrize("times", [2, 3, 5])
def test_rows_copied_before_the_cut_are_told_from_rows_that_repeat(times):
    rows = pl.concat([labelled(5, 1500), *[labelled(6, 500)] * times]).sample(fraction=1, shuffle=True, seed=times)
    seen, (finding,) = told(rows[500:], rows[:500], FEATURES)
    assert seen.copied
    assert finding.remedy == "data.train: each row once"


def test_counts_of_rows_drawn_from_any_frequencies_are_not_beyond_chance():
    draw = np.random.default_rng(7)
    for kinds in (16, 500, 20_000):
        for frequencies in (np.ones(kinds), draw.random(kinds) ** 4, 1 / np.arange(1, kinds + 1)):
            counts = draw.multinomial(5000, frequencies / frequencies.sum())
            assert not beyond_chance(np.bincount(counts), 5000)
    assert beyond_chance(np.array([0, 3000, 1000, 0]), 5000)


def test_columns_go_together_with_their_rows():
    """Keys and encoded columns are the same columns in the same order."""
    encoder, made = stores({"train": table()})
    names = [
        column.name.partition(" (")[0].partition("[")[0]
        for column in keyed_columns(encoder, {"train": made["train"].rows})
    ]
    assert list(dict.fromkeys(names)) == list(KINDS)
