"""Loss curve of a sweep, beside that of a training at the configured rate, and the rate that follows."""

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

WINDOW = 1 / 40
"""Width of the smoothing, a Gaussian's standard deviation, as a share of the steps; it looks to both sides, so that
the curve does not lag behind the rate."""
HARM = 0.1
"""A rate does harm where the loss lies above its best by this share of what the training gains."""
RISE = 0.25
"""By which share of it the loss may wander within what counts as one valley."""
AS_GOOD = 0.2
"""A rate does as well as any where the loss has come down from its hump to this share of the way."""
FLAT = 0.05
"""The rate does not matter where the hump is less than this share of what the training gains."""
FAR = 3.0
"""Standard deviations, by the median of the absolute differences around it, from which a batch's difference is cut
back: one row with an extreme label would bend the curve by itself."""
SURE = 6.0
"""Standard errors of the smoothed difference that a rise has to exceed: by chance alone the least and the greatest of a
hundred steps lie five of them apart."""
BELOW = 10.0
"""The suggestion keeps this far below what does harm: a sweep spends a few steps on a rate, a training thousands."""

DEVIATION, TENTH = 0.6745, 1.645
"""In a normal distribution half of all values lie within the first of its standard deviations, nine tenths within the
second."""

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Reading:
    """Result of a sweep for one subnet's learning rate.

    Attributes:
        suggestion: the rate to take.
        lowest: the lowest rate that does as well as any; None where the rate does not matter.
        too_high: the rate from which on it does harm; None where none in the range does.
        flat: the ends between which the rate does not matter; None where it does.
    """

    suggestion: float
    lowest: float | None
    too_high: float | None
    flat: tuple[float, float] | None


def smooth(values: Floats) -> Floats:
    """A Gaussian mean to both sides of `[N]`, over what is not NaN; NaN where nothing is near."""
    place = np.arange(len(values))
    kernel = np.exp(-0.5 * ((place[:, None] - place[None, :]) / max(WINDOW * len(values), 0.5)) ** 2)
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((kernel @ np.where(known, values, 0.0)) / (kernel @ known))


def _without_spikes(values: Floats) -> Floats:
    """Each value of `[N]` no further than `FAR` from the median of its neighbourhood (Hampel's filter)."""
    half = max(round(2 * WINDOW * len(values)), 2)
    result = values.copy()
    for i in range(len(values)):
        near = values[max(i - half, 0) : i + half + 1]
        near = near[np.isfinite(near)]
        if len(near):
            middle = float(np.median(near))
            most = FAR * float(np.median(np.abs(near - middle))) / DEVIATION
            result[i] = np.clip(values[i], middle - most, middle + most)
    return result


def read_sweep(rates: Floats, sweep: Floats, control: Floats, *, configured: float) -> Reading:
    """Where the rate begins to do as well as any, where it begins to do harm, and what lies between.

    The control trains the same network on the same batches at the configured rate, so that what is common to both,
    the batches' noise above all, drops out of the difference of the losses. While its rate is low the subnet falls
    behind the control and the difference rises to a hump; it comes down where the rate suffices, and goes up again
    where it does harm. The suggestion is the middle, on the scale of logarithms, of the lowest rate that does as well
    as any and a tenth of the first that does harm. Where there is no hump the rate does not matter, and the configured
    one stays unless it is above a tenth of what does harm.

    Args:
        rates: `[N]` rising.
        sweep: `[n]` losses after a step at each rate, over the loss at the start; n < N where it then was no number.
        control: `[N]` likewise at the configured rate.
        configured: that rate.
    """
    count = len(sweep)
    if not count:
        return Reading(float(rates[0]) / BELOW, None, float(rates[0]), None)
    raw = _without_spikes(sweep - control[:count])
    curve = np.nan_to_num(smooth(raw))
    spread = float(np.nanpercentile(np.abs(raw - curve), 90)) / TENTH
    noise = SURE * spread / math.sqrt(max(2 * math.sqrt(math.pi) * WINDOW * count, 1.0))
    gained = max(1.0 - float(np.nanmedian(control[-max(len(control) // 3, 1) :])), 0.0)

    rise = max(RISE * max(gained, 0.1), noise)
    lowest_loss = curve[_valley(curve, rise)]
    last_fine = int(np.flatnonzero(curve <= lowest_loss + max(HARM * gained, noise))[-1])
    too_high = float(rates[last_fine + 1]) if last_fine + 1 < len(rates) else None
    end = (float(rates[-1]) if too_high is None else too_high) / BELOW

    # What is not to be suggested need not be looked at: a dip beside the harm is mostly luck.
    safe = curve[: max(int(np.searchsorted(rates, end, side="right")), 1)][:count]
    best = _valley(safe, rise)
    hump = float(safe[: best + 1].max() - safe[best])
    if hump < max(FLAT * gained, noise):
        rate = min(max(configured, float(rates[0])), end)
        return Reading(rate, None, too_high, (float(rates[0]), float(rates[last_fine])))
    worse = np.flatnonzero(safe[: best + 1] > safe[best] + max(AS_GOOD * hump, noise / SURE))
    lowest = float(rates[int(worse[-1]) + 1])
    return Reading(math.sqrt(lowest * end), lowest, too_high, None)


def _valley(curve: Floats, rise: float) -> int:
    """The bottom of the valley that comes first from the side of the high rates.

    At the lowest rates there is another, in which the subnet has not had the time to fall behind.
    """
    best = len(curve) - 1
    for i in range(len(curve) - 1, -1, -1):
        if curve[i] < curve[best]:
            best = i
        elif curve[i] > curve[best] + rise:
            break
    return best
