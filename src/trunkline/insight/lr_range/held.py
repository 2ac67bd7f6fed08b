"""Rates that are held: a short training at each, for tables of ids."""

import math
from collections.abc import Sequence

import numpy as np

from trunkline.insight.lr_range.curve import AS_GOOD, BELOW, DEVIATION, SURE, Floats, Reading

APART = 0.75
"""Decades between two rates."""
HARM, FLAT = 0.05, 0.02
"""Of what the training gains: how much worse is harm, and how much at most is flat. Both are finer than a sweep's,
which has a few steps for a rate where this has a third of a training."""
FEWEST = 5
"""Rates, however close the ends."""


def held_rates(low: float, high: float) -> Floats:
    """Rates from low to high, `APART` from one another."""
    return np.geomspace(low, high, max(FEWEST, 1 + round(math.log10(high / low) / APART)))


def last_third(losses: Floats) -> slice:
    """The steps `[N]` by which a rate is judged: what came before has taught the ids that they hold."""
    return slice(len(losses) - max(len(losses) // 3, 1), len(losses))


def read_held(rates: Floats, trainings: Sequence[Floats], control: Floats, *, configured: float) -> Reading:
    """Where a rate begins to do as well as any, and where to do harm, from a short training at each.

    A sweep in time tells nothing of a table of ids: a batch shows what earlier batches did to the same ids, and where
    an id comes back only after dozens of steps, its loss is that of rates decades below the one of the day. So each
    rate is held, and judged by the last third of the steps, less the control's on the same batches.

    Args:
        rates: `[R]` rising.
        trainings: at each rate the losses `[n]`, over the loss at the start; n < N where it then was no number.
        control: `[N]` likewise at the configured rate.
        configured: that rate.
    """
    end = last_third(control)
    differences = [one[end] - control[end] if len(one) == len(control) else np.empty(0) for one in trainings]
    curve = np.array([np.nanmean(one) if np.isfinite(one).any() else np.inf for one in differences])
    noise = SURE * float(np.median([_error(one) for one in differences]))
    gained = max(1.0 - float(np.nanmean(control[end])), 0.0)
    best = int(np.argmin(curve))
    if not np.isfinite(curve[best]):
        return Reading(float(rates[0]) / BELOW, None, float(rates[0]), None)
    worse = np.flatnonzero(curve[best:] > curve[best] + max(HARM * gained, noise))
    too_high = float(rates[best + int(worse[0])]) if len(worse) else None
    most = (float(rates[-1]) if too_high is None else too_high) / BELOW
    hump = float(curve[: best + 1].max() - curve[best])
    if hump <= max(FLAT * gained, noise):
        last_fine = len(rates) - 1 if too_high is None else best + int(worse[0]) - 1
        rate = min(max(configured, float(rates[0])), most)
        return Reading(rate, None, too_high, (float(rates[0]), float(rates[last_fine])))
    behind = np.flatnonzero(curve[: best + 1] > curve[best] + max(AS_GOOD * hump, noise / SURE))
    lowest = float(rates[int(behind[-1]) + 1])
    return Reading(min(math.sqrt(lowest * most), most), lowest, too_high, None)


def _error(differences: Floats) -> float:
    """The standard error of a mean, by the median of the absolute deviations: one extreme row makes no difference."""
    known = differences[np.isfinite(differences)]
    if not len(known):
        return 0.0
    return float(np.median(np.abs(known - np.median(known)))) / DEVIATION / math.sqrt(len(known))
