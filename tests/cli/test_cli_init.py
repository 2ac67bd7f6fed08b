"""`trunkline init`: any kind of label, by name or by its values, to a config that trains."""

import numpy as np
import polars as pl
import pytest
import yaml

from trunkline.tasks import TASK_KINDS

LABEL = {
    "binary": "clicked",
    "multiclass": "size",
    "ordinal": "stars",
    "lognormal": "seconds",
    "zero_inflated_lognormal": "spent",
    "poisson": "shares",
    "negative_binomial": "shares",
}
"""A column that each kind can have for a label; every other kind takes any number."""


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The working directory, with a label of every sort in t.parquet."""
    monkeypatch.chdir(tmp_path)
    draw, n = np.random.default_rng(0), 200
    amount = np.exp(draw.normal(size=n))
    holes = draw.random(n) < 0.1
    frame = pl.DataFrame(
        {
            "x": draw.normal(size=n),
            "person": [f"p{value}" for value in draw.integers(0, 9, n)],
            "clicked": draw.integers(0, 2, n),
            "size": [("small", "middle", "large")[value] for value in draw.integers(0, 3, n)],
            "stars": draw.integers(1, 6, n),
            "seconds": amount,
            "spent": amount * draw.integers(0, 2, n),
            "shares": draw.poisson(40, n),
            "time on page": np.where(draw.random(n) < 0.1, np.nan, amount),
            "at 9:30": draw.random(n) < 0.5,
            "shown": [[1, 2]] * n,
            "same": [3] * n,
        }
    )
    hide = [pl.when(pl.Series(~holes)).then(name).alias(name) for name in ("clicked", "seconds", "shares")]
    frame.with_columns(hide).write_parquet("t.parquet")
    return tmp_path


def written(table):
    return yaml.safe_load((table / "t.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_kind_makes_a_config_that_trains(table, trunkline, kind):
    label = LABEL.get(kind, "seconds")
    status, out, err = trunkline("init", "t.parquet", "--task", f"{label}:{kind}", "-o", "t.yaml")
    assert (status, err) == (0, "")
    assert "by their values" not in out
    assert written(table)["tasks"] == {label: {"kind": kind}}
    sets = ["training.epochs=1", "training.device=cpu", "network.sharing.hidden=[8]"]
    status, _, err = trunkline("train", "t.yaml", "--quiet", "--out", "run", *(p for s in sets for p in ("--set", s)))
    assert (status, err) == (0, "")
    status, _, err = trunkline("predict", "run", "t.parquet", "-o", "out.parquet")
    assert (status, err) == (0, "")
    assert label in pl.read_parquet("out.parquet").columns


@pytest.mark.parametrize(
    ("column", "name", "kind"),
    [
        ("clicked", "clicked", "binary"),
        ("at 9:30", "at_9_30", "binary"),
        ("size", "size", "multiclass"),
        ("stars", "stars", "ordinal"),
        ("shares", "shares", "regression"),
        ("time on page", "time_on_page", "lognormal"),
        ("spent", "spent", "zero_inflated_lognormal"),
    ],
)
def test_a_kind_that_is_not_given_goes_by_the_values_and_is_said(table, trunkline, column, name, kind):
    status, out, _ = trunkline("init", "t.parquet", "--task", column, "-o", "t.yaml")
    assert status == 0
    assert f"{column} is {kind} (" in out
    raw = written(table)
    assert raw["tasks"] == {name: {"kind": kind} | ({"label": column} if name != column else {})}
    assert column not in raw["features"]


def test_a_column_with_a_colon_may_have_a_kind(table, trunkline):
    assert trunkline("init", "t.parquet", "--task", "at 9:30:poisson", "-o", "t.yaml")[0] == 0
    assert written(table)["tasks"] == {"at_9_30": {"kind": "poisson", "label": "at 9:30"}}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["seconds:lognromal"], ["kind 'lognromal' is unknown", "'lognormal'?", "zero_inflated_lognormal"]),
        (["seconds:"], ["kind '' is unknown"]),
        (["second:huber"], ["'second' is not in the table", "'seconds'?"]),
        (["spent:lognormal"], ["--task spent:lognormal", "holds 0 in row", "kind zero_inflated_lognormal"]),
        (["seconds:poisson"], ["whole number"]),
        (["size:regression"], ["'size' is String", "numbers"]),
        (["size:ordinal"], ["whose order nobody knows", "size:multiclass", "levels: [lowest, …, highest]"]),
        (["shown"], ["'shown' is List"]),
        (["same"], ["'same' is constant"]),
        (["seconds", "seconds:lognormal"], ["--task seconds:lognormal: task seconds is there already"]),
        (["spent:lognormal", "second"], ["holds 0 in row", "'seconds'?"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(table, trunkline, asked, words):
    status, out, err = trunkline("init", "t.parquet", *(p for one in asked for p in ("--task", one)), "-o", "t.yaml")
    assert (status, out) == (2, "")
    for word in words:
        assert word in err
    assert not (table / "t.yaml").exists()
