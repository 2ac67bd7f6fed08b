"""A simulated feed whose true probabilities are known, so that a model can be held to the best possible.

A person opens the feed, sees an item, may click it, stays a while and may buy. All three behaviours draw on
the same few latent quantities: how well the item suits the person (the product of low-dimensional factors),
how good the item is, how active the person is, the moment (hour, device, category) and the price. Part of
each can be read from the features; the rest can only be learnt through the ids. Purchases are rare enough
(2 % of the rows) that what clicks teach about these quantities is worth having.

`dwell` is log-normal with a median of about 20 seconds, so in raw seconds its squared error is thousands of
times the log loss of `click`.
"""

from datetime import datetime

import numpy as np
import polars as pl

from trunkline.datasets.feed_world import CATEGORIES, DEVICES, Flags, Indices, Numbers, World, drawn
from trunkline.errors import Problems

TRUTH = {"click": "true_click", "dwell": "true_dwell", "purchase": "true_purchase"}
"""Label -> the column with its true expectation: P(click), E[dwell | click], P(purchase | click)."""

FEATURES = ["time", "user", "item", "category", "device", "price", "age", "returning"]
"""The columns that a model may see."""

CLICK_RATE, PURCHASE_RATE = 0.2, 0.1
_START = datetime(2024, 1, 1)
_DAYS = 28
_MEDIAN_DWELL, _DWELL_NOISE = 20.0, 0.9

# Standard deviation, over the rows where the label exists, of a logit and of the logarithm of dwell: an area
# under the curve of 0.77 for the two probabilities, and 0.4 of the variance of log dwell, are explicable.
_CLICK_SPREAD, _PURCHASE_SPREAD, _DWELL_SPREAD = 1.2, 1.2, 0.735

# Columns: taste, quality, activity, moment, price. The tasks agree in most signs, and differ in weights.
_CLICK = np.array([0.62, 0.50, 0.45, 0.55, -0.15])
_DWELL = np.array([0.42, 0.38, 0.18, 0.32, 0.20])
_PURCHASE = np.array([0.70, 0.60, 0.35, 0.45, -0.60])


def simulate(rows: int = 60_000, *, users: int = 2_000, items: int = 800, seed: int = 0) -> pl.DataFrame:
    """Draw impressions of the feed, in the order of time.

    Args:
        rows: number of impressions.
        users: number of persons; the ids are integers above 2**53, which a float would merge.
        items: number of items.
        seed: the same seed and sizes give the same frame.

    Returns:
        The columns of `FEATURES`; the labels `click` (0/1), `dwell` (seconds) and `purchase` (0/1), the
        last two null where there was no click; and the columns of `TRUTH`.

    Raises:
        UserError: if a size is below one.
    """
    problems = Problems()
    for name, size in (("rows", rows), ("users", users), ("items", items)):
        if size < 1:
            problems.add(f"a feed needs {name} of at least 1, found {size}")
    problems.raise_if_any()
    rng = np.random.default_rng(seed)
    world = drawn(rng, rows=rows, users=users, items=items, days=_DAYS)
    causes = world.causes()
    everywhere = np.ones(rows)
    click = _calibrated(_signal(causes @ _CLICK, _CLICK_SPREAD, everywhere), CLICK_RATE, everywhere)
    purchase = _calibrated(_signal(causes @ _PURCHASE, _PURCHASE_SPREAD, click), PURCHASE_RATE, click)
    log_dwell = np.log(_MEDIAN_DWELL) + _signal(causes @ _DWELL, _DWELL_SPREAD, click)
    clicked = rng.random(rows) < click
    bought = rng.random(rows) < purchase
    dwell = np.exp(log_dwell + _DWELL_NOISE * rng.standard_normal(rows))
    seen = pl.col("click") == 1
    return (
        _features(world)
        .with_columns(
            pl.Series("click", clicked.astype(np.int8)),
            pl.Series("dwell", dwell),
            pl.Series("purchase", bought.astype(np.int8)),
            pl.Series("true_click", click),
            pl.Series("true_dwell", np.exp(log_dwell + _DWELL_NOISE**2 / 2)),
            pl.Series("true_purchase", purchase),
        )
        .with_columns(pl.when(seen).then("dwell"), pl.when(seen).then("purchase"))
    )


def split(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Cut a feed by time: the first 70 % `train`, then 15 % `valid`, the last 15 % `test`."""
    ordered = frame.sort("time", maintain_order=True)
    first, second = round(0.70 * frame.height), round(0.85 * frame.height)
    return {"train": ordered[:first], "valid": ordered[first:second], "test": ordered[second:]}


def _features(world: World) -> pl.DataFrame:
    def known(values: Numbers | Indices, missing: Flags) -> pl.Expr:
        return pl.when(pl.Series(~missing)).then(pl.Series(values))

    start = np.datetime64(_START, "us")
    return pl.select(
        time=pl.Series(start + (world.day * 86_400e6).astype("timedelta64[us]")),
        user=pl.Series(2**53 + world.user_id),
        item=pl.format("i{}", pl.Series(world.item).cast(pl.String).str.zfill(4)),
        category=pl.Series(np.array(CATEGORIES)[world.category]),
        device=pl.Series(np.array(DEVICES)[world.device]),
        price=known(world.price.round(2), world.price_missing),
        age=known(world.age, world.age_missing),
        returning=pl.Series(world.returning),
    )


def _signal(raw: Numbers, spread: float, weight: Numbers) -> Numbers:
    """Shift and scale `raw` to a weighted mean of 0 and a weighted standard deviation of `spread`."""
    centred = raw - np.average(raw, weights=weight)
    deviation = np.sqrt(np.average(centred**2, weights=weight))
    return np.asarray(centred * (spread / (deviation or 1.0)))


def _calibrated(logit: Numbers, rate: float, weight: Numbers) -> Numbers:
    """Shift `logit` until the weighted mean of the probabilities is `rate`; the probabilities."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        if np.average(_sigmoid(logit + middle), weights=weight) < rate:
            low = middle
        else:
            high = middle
    return _sigmoid(logit + low)


def _sigmoid(logit: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-logit)))
