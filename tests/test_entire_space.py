"""p(buy) over all impressions: right when trained on all of them, several times too high when trained on clicks."""

import polars as pl
import pytest

from trunkline import fit
from trunkline.datasets import feed

ROWS = 400_000
NETWORK = {"sharing": {"hidden": [64, 32]}, "towers": {"hidden": [16]}}
FEATURES = {name: {"kind": "categorical", "dim": 4} for name in ("item", "category", "device")} | {
    "price": "numeric",
    "age": "numeric",
    "returning": "boolean",
}


@pytest.fixture(scope="module")
def parts():
    shuffled = feed.simulate(ROWS, seed=0).sample(fraction=1.0, shuffle=True, seed=0)
    return {"train": shuffled[: ROWS * 3 // 4], "test": shuffled[ROWS * 3 // 4 :]}


def trained(parts, **buy):
    return fit(
        {
            "features": FEATURES,
            "tasks": {"click": "binary", "buy": {"kind": "binary", "label": "purchase", **buy}},
            "network": NETWORK,
            "optimizer": {"lr": 0.002, "schedule": "warmup_cosine"},
            "training": {"epochs": 2, "batch_size": 512, "seed": 0},
        },
        **parts,
    )


@pytest.mark.parametrize("gradient", ["stop", "flow"])
def test_the_entire_space_estimate_is_calibrated_over_all_impressions(parts, gradient):
    model, rows = trained(parts, space="click", gradient=gradient), parts["test"]
    bought = rows.select((pl.col("click") == 1) & (pl.col("purchase") == 1)).to_series().fill_null(False)
    estimated = model(rows)["buy"].mean()

    # Against the buys seen, 2,000 of them, and against the probabilities that they were drawn with.
    assert estimated == pytest.approx(bought.mean(), rel=0.03)
    assert estimated == pytest.approx((rows["true_click"] * rows["true_purchase"]).mean(), rel=0.03)
    assert model.metrics["test"]["buy"]["calibration"] == pytest.approx(estimated / bought.mean(), rel=1e-4)
    assert model.metrics["test"]["buy|click"]["rows"] == rows["click"].sum()


def test_what_clicked_rows_teach_is_not(parts):
    model, rows = trained(parts, where="click"), parts["test"]

    assert model(rows)["buy"].mean() > 3 * (rows["true_click"] * rows["true_purchase"]).mean()
    assert model.metrics["test"]["buy"]["calibration"] == pytest.approx(1, abs=0.1)
    assert model.metrics["test"]["click&buy"]["rows"] == len(rows)
