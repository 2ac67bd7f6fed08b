"""Persons, items and moments of the simulated feed, and the five latent causes behind every label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]
Flags = NDArray[np.bool_]

CATEGORIES = (
    *("art", "books", "cooking", "fashion", "fitness", "games", "garden", "music", "news", "sports"),
    *("tech", "travel"),
)
DEVICES = ("desktop", "phone", "tablet", "tv")

_FACTORS = 3
_NO_AGE, _NO_PRICE = 0.08, 0.04
_HOURS = 1 + 0.9 * np.sin((np.arange(24) - 13) * np.pi / 12)


@dataclass(frozen=True, kw_only=True)
class World:
    """One value a row of everything that drives the labels or is shown as a feature.

    Args:
        day: days since the start, increasing, with the hour as its fraction.
        user_id: a number for the person that says nothing about him or her.
        item: the item's number.
        category: the item's category, an index into `CATEGORIES`.
        device: an index into `DEVICES`.
        price: the item's price.
        price_missing: where the price is not shown.
        age: the person's age in years.
        age_missing: where the age is not known.
        returning: whether the person has been here before.
        taste: how well the item suits the person.
        quality: how good the item is.
        activity: how active the person is.
        moment: hour, device and the meeting of category and device.
    """

    day: Numbers
    user_id: Indices
    item: Indices
    category: Indices
    device: Indices
    price: Numbers
    price_missing: Flags
    age: Indices
    age_missing: Flags
    returning: Flags
    taste: Numbers
    quality: Numbers
    activity: Numbers
    moment: Numbers

    def causes(self) -> Numbers:
        """Taste, quality, activity, moment and log price, each with mean 0 and variance 1: `[rows, 5]`."""
        parts = (self.taste, self.quality, self.activity, self.moment, np.log(self.price))
        return np.stack([_standard(part) for part in parts], axis=1)


def drawn(rng: np.random.Generator, *, rows: int, users: int, items: int, days: int) -> World:
    """Draw persons, items and `rows` meetings of the two.

    Args:
        rng: the source of all randomness.
        rows: number of impressions.
        users: number of persons.
        items: number of items.
        days: length of the feed.
    """
    normal = rng.standard_normal
    # Half of a person's and an item's factors follows from what is shown of them.
    ages = np.clip(np.round(np.exp(3.55 + 0.35 * normal(users))), 16, 90).astype(np.int64)
    back = rng.random(users) < 0.6
    shown = np.stack([_standard(ages.astype(float)), _standard(back.astype(float))], axis=1)
    person = 0.7 * shown @ normal((2, _FACTORS)) + 0.9 * normal((users, _FACTORS))
    active = 0.6 * shown @ np.array([0.5, 1.0]) + 0.6 * normal(users)
    own_device = rng.choice(len(DEVICES), users, p=[0.3, 0.5, 0.12, 0.08])

    kinds = rng.integers(len(CATEGORIES), size=items)
    thing = normal((len(CATEGORIES), _FACTORS))[kinds] + 0.8 * normal((items, _FACTORS))
    good = 0.8 * normal(len(CATEGORIES))[kinds] + 0.6 * normal(items)
    cost = np.exp(3.0 + 0.5 * normal(len(CATEGORIES))[kinds] + 0.5 * normal(items))

    user = rng.choice(users, rows, p=_shares(np.exp(0.7 * normal(users))))
    item = rng.choice(items, rows, p=_shares(np.exp(0.7 * normal(items))))
    hour = rng.choice(24, rows, p=_shares(_HOURS))
    day = np.sort(rng.integers(days, size=rows) + (hour + rng.random(rows)) / 24)
    hour_angle = day % 1 * 2 * np.pi
    elsewhere = rng.random(rows) < 0.2
    device = np.where(elsewhere, rng.integers(len(DEVICES), size=rows), own_device[user])
    meeting = normal((len(CATEGORIES), len(DEVICES)))[kinds[item], device]
    moment = meeting + 0.7 * normal(len(DEVICES))[device] - 0.8 * np.cos(hour_angle - 0.5)
    return World(
        day=day,
        user_id=rng.permutation(users)[user],
        item=item,
        category=kinds[item],
        device=device,
        price=cost[item],
        price_missing=rng.random(rows) < _NO_PRICE,
        age=ages[user],
        age_missing=(rng.random(users) < _NO_AGE)[user],
        returning=back[user],
        taste=np.einsum("rk,rk->r", person[user], thing[item]),
        quality=good[item],
        activity=active[user],
        moment=moment,
    )


def _shares(weights: Numbers) -> Numbers:
    return np.asarray(weights / weights.sum())


def _standard(values: Numbers) -> Numbers:
    """Mean 0 and variance 1; a constant becomes 0."""
    return np.asarray((values - values.mean()) / (values.std() or 1.0))
