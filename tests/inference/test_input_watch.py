"""Rows to predict held against the run's: counts against polars, shares against scipy, silence where all is alike."""

import json
import shutil

import numpy as np
import polars as pl
import pytest
from scipy import stats

from trunkline import Model, UserError, fit
from trunkline.inference import column_counts
from trunkline.inference.fisher_exact import more_often
from trunkline.inference.input_profile import read_profile
from trunkline.inference.population_stability import population_stability
from trunkline.runs.folder import RunFolder

TABLES = (
    *((1, 10, 0, 1000), (3, 10, 0, 1000), (0, 10, 5, 10), (10, 10, 0, 10), (50, 1000, 20, 1000), (7, 7, 993, 1000)),
    *((300, 100_000, 200, 100_000), (40_000, 1_000_000, 39_000, 1_000_000), (5, 5, 0, 1), (900, 1000, 100, 1000)),
)


@pytest.mark.parametrize("table", TABLES)
def test_more_often_is_fishers_exact_test(table):
    part, whole, other, other_whole = table
    expected = stats.fisher_exact([[part, whole - part], [other, other_whole - other]], alternative="greater").pvalue
    found = more_often(*table)
    if part * (whole + other_whole) > whole * (part + other):
        # logarithms of factorials have an error in proportion to their size
        size = (whole + other_whole) * np.log(whole + other_whole)
        assert found == pytest.approx(expected, rel=64 * np.finfo(float).eps * size + 1e-9)
    else:
        assert found == 1.0 >= expected


def test_chance_leads_to_remarks_no_more_often_than_said():
    draw = np.random.default_rng(0)
    for share, rows, others in ((0.01, 30, 5000), (0.2, 400, 300), (0.5, 50, 50)):
        pairs = draw.binomial(rows, share, 3000), draw.binomial(others, share, 3000)
        found = [more_often(int(a), rows, int(b), others) < 0.01 for a, b in zip(*pairs, strict=True)]
        assert np.mean(found) < 0.01 + 4 * np.sqrt(0.01 / 3000)


def test_population_stability_is_the_textbooks_less_chance():
    p, q = np.array([400_000, 500_000, 100_000]), np.array([100_000, 700_000, 200_000])
    expected = ((q - p) / 1e6 * np.log(q / p)).sum()
    assert population_stability(p, q) == pytest.approx(expected, abs=1e-4)
    assert population_stability(p, p // 1000) == 0.0
    assert population_stability(p, np.zeros(3, int)) == 0.0
    draw = np.random.default_rng(1)
    same = [
        population_stability(draw.multinomial(n, [0.1] * 10), draw.multinomial(m, [0.1] * 10))
        for n, m in [(5000, 60)] * 300
    ]
    assert np.mean(np.array(same) > 0) < 0.02


CONFIG = {
    "features": {
        "user": "categorical",
        "item": {"kind": "hashed", "rows": 20},
        "price": "numeric",
        "sold": {"kind": "numeric", "log": True},
        "level": "numeric",
        "new": "boolean",
        "time": "datetime",
        "tags": "bag",
        "place": "vector",
    },
    "tasks": {"click": "binary"},
    "network": {"sharing": {"hidden": [4]}, "towers": {"hidden": []}},
    "data": {"store": "none"},
    "training": {"epochs": 1, "batch_size": 500, "device": "cpu"},
}


def made(rows, seed):
    """A column of every kind; some lack values in training and some do not."""
    draw = np.random.default_rng(seed)
    holes = pl.Series(draw.random(rows) < 0.1)
    return (
        pl.DataFrame(
            {
                "user": [f"u{one}" for one in np.minimum(draw.geometric(0.03, rows), 150)],
                "item": draw.integers(0, 50, rows),
                "price": draw.normal(20, 3, rows),
                "sold": np.exp(draw.normal(3, 1, rows)),
                "level": draw.integers(0, 5, rows),
                "new": draw.random(rows) < 0.3,
                "time": pl.Series(draw.integers(1_600_000_000, 1_650_000_000, rows)).cast(pl.Int64) * 1000,
                "tags": [[f"t{one}" for one in draw.integers(0, 8, draw.integers(0, 4))] for _ in range(rows)],
                "place": draw.normal(size=(rows, 2)).tolist(),
                "click": draw.integers(0, 2, rows),
            }
        )
        .with_columns(
            pl.when(holes).then(None).otherwise(pl.col(name)).alias(name) for name in ("user", "price", "tags")
        )
        .with_columns(time=pl.col("time").cast(pl.Datetime("ms")))
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watch") / "run"
    fit(CONFIG, train=made(3000, 0), valid=made(1500, 1), out=folder)
    return folder


@pytest.fixture(scope="module")
def model(run):
    return Model.load(run)


def watched(model, rows, piece=400):
    watch = model.watch()
    for frame in rows.iter_slices(piece):
        watch.see(frame, model.encoder.encode(frame))
    return watch


def found(watch):
    return {(one.column, one.what) for one in watch.remarks()}


@pytest.mark.parametrize("piece", [1, 37, 5000])
def test_counts_are_those_of_polars(model, piece):
    rows = made(300, 7).with_columns(
        user=pl.when(pl.int_range(pl.len()) % 5 == 0).then(pl.lit("new")).otherwise("user"),
        level=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("level").cast(pl.Float64)),
        sold=pl.when(pl.int_range(pl.len()) % 9 == 0).then(float("nan")).otherwise("sold"),
        tags=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(["t1", "odd"])).otherwise("tags"),
    )
    counts = watched(model, rows, piece).counts
    known = set(made(3000, 0)["user"].drop_nulls())
    for name in CONFIG["features"]:
        series = rows[name].fill_nan(None) if rows[name].dtype.is_float() else rows[name]
        assert (counts[name].rows, counts[name].missing) == (300, series.null_count()), name
    assert counts["user"].unseen == sum(one not in known for one in rows["user"].drop_nulls())
    assert counts["user"].ids == rows["user"].count()
    assert counts["item"].unseen == 0
    elements = rows["tags"].drop_nulls().explode().drop_nulls()
    assert (counts["tags"].ids, counts["tags"].unseen) == (len(elements), int((elements == "odd").sum()))
    price = rows["price"].drop_nulls()
    train = made(3000, 0)["price"].drop_nulls()
    assert counts["price"].below == int((price < train.min()).sum())
    assert counts["price"].above == int((price > train.max()).sum())
    assert counts["price"].numbers == sum(counts["price"].bins) == len(price)
    scale = train.std(ddof=0)
    assert counts["price"].total == pytest.approx((price - train.mean()).sum() / scale, rel=1e-3, abs=1e-3)
    assert counts["level"].numbers == rows["level"].count()


@pytest.mark.parametrize("rows", [1, 20, 300, 4000])
def test_nothing_is_said_of_rows_like_the_runs(model, rows):
    for seed in range(10, 14):
        assert watched(model, made(rows, seed)).remarks() == []


def test_what_is_unlike_is_said_of_its_column_alone(model):
    rows, every = made(1000, 20), pl.int_range(pl.len())

    def with_(**columns):
        return found(watched(model, rows.with_columns(**columns)))

    assert with_(user=pl.when(every % 4 == 0).then(pl.lit("new")).otherwise("user")) == {("user", "unseen")}
    assert with_(price=pl.when(every % 3 == 0).then(None).otherwise("price")) == {("price", "missing")}
    assert with_(level=pl.when(every % 20 == 0).then(None).otherwise("level")) == {("level", "missing")}
    assert with_(new=pl.when(every % 20 == 0).then(None).otherwise("new")) == {("new", "missing")}
    assert with_(tags=pl.lit(["odd", "t1"])) == {("tags", "unseen")}
    assert with_(place=pl.when(every % 10 == 0).then(None).otherwise("place")) == {("place", "missing")}
    assert with_(sold=pl.col("sold") / 40) == {("sold", "moved"), ("sold", "below")}
    assert with_(price=pl.col("price") + 4) >= {("price", "moved")}
    assert with_(level=pl.lit(4)) == {("level", "moved")}
    assert with_(price=pl.when(every % 20 == 0).then(1000.0).otherwise("price")) == {("price", "above")}


def test_remarks_are_in_the_columns_units(model):
    train = made(3000, 0)
    remarks = watched(model, made(500, 30).with_columns(sold=pl.col("sold") * 1000, price=-pl.col("price"))).remarks()
    texts = {(one.column, one.what): one.text for one in remarks}
    assert float(texts["sold", "above"].rpartition(" ")[2]) == pytest.approx(train["sold"].max(), rel=1e-3)
    assert float(texts["price", "below"].rpartition(" ")[2]) == pytest.approx(train["price"].min(), rel=1e-3)
    assert "standard deviations" in texts["price", "moved"]


def test_what_validation_had_too_is_not_said(tmp_path):
    """A column that drifts from training to validation drifts on."""

    def rows(n, seed, *, day, holes):
        gone = pl.int_range(pl.len()) % 10 < holes
        return made(n, seed).with_columns(
            price=pl.when(gone).then(None).otherwise(pl.col("price") + day),
            user=pl.when(gone).then(pl.lit(f"new{seed}")).otherwise("user"),
        )

    model = fit(CONFIG, train=rows(2000, 0, day=0, holes=0), valid=rows(1000, 1, day=5, holes=4))
    assert found(watched(model, rows(800, 2, day=5, holes=4))) == set()
    assert found(watched(model, rows(800, 3, day=5, holes=8))) >= {("price", "missing"), ("user", "unseen")}


def test_without_validation_rows_it_is_held_against_training():
    model = fit(CONFIG, train=made(2000, 0))
    watch = watched(model, made(500, 1).with_columns(price=pl.lit(None, dtype=pl.Float64)))
    assert (watch.reference, found(watch)) == ("training", {("price", "missing")})
    assert found(watched(model, made(500, 1))) == set()


def test_columns_of_one_value_and_none():
    config = CONFIG | {"features": {"same": "numeric", "none": "numeric", "price": "numeric", "day": "datetime"}}

    def rows(n, seed):
        return made(n, seed).select(
            "price", "click", same=pl.lit(3), none=pl.lit(None, dtype=pl.Float64), day=pl.date(2024, 1, 1)
        )

    model = fit(config, train=rows(500, 0), valid=rows(200, 1))
    assert found(watched(model, rows(300, 2))) == set()
    assert found(watched(model, rows(300, 2).with_columns(same=pl.lit(4), none=pl.lit(1.0)))) == {("same", "above")}


def test_of_a_long_chunk_some_numbers_are_looked_at(model, monkeypatch):
    monkeypatch.setattr(column_counts, "LOOKED_AT", 100)
    watch = watched(model, made(1000, 40), piece=400)
    assert watch.counts["level"].numbers == 300
    assert watch.counts["price"].missing == made(1000, 40)["price"].null_count()
    assert watch.remarks() == []


def test_a_run_without_a_profile_predicts_and_says_nothing(run, tmp_path):
    shutil.copytree(run, tmp_path / "old")
    RunFolder(tmp_path / "old").profile.unlink()
    model = Model.load(tmp_path / "old")
    watch = watched(model, made(100, 3).with_columns(user=pl.lit("new")))
    assert watch.remarks() == []
    assert watch.to_json()["columns"]["user"]["unseen"] == 100


def damaged(**changes):
    def change(profile):
        return profile | {"price": profile["price"] | changes}

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda profile: [],
        lambda profile: {"price": profile["price"]},
        lambda profile: {name: profile[name] for name in reversed(profile)},
        damaged(train=None),
        damaged(train={"rows": -1}),
        damaged(train={"rows": 5, "missing": 6}),
        damaged(train={"rows": 5, "bins": [1]}),
        damaged(range={"least": "a", "greatest": 1}),
        damaged(valid={"rows": 5, "numbers": 3, "bins": [1] * 16}),
    ],
)
def test_a_damaged_profile_is_refused_in_words(run, model, tmp_path, change):
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(change(json.loads(RunFolder(run).profile.read_text()))))
    with pytest.raises(UserError, match=r"profile\.json cannot be read"):
        read_profile(path, model.encoder)
