"""Verdicts: what an interval allows one to say."""

from trunkline.insight.statistics.intervals import Interval

NO_DIFFERENCE = "no difference seen"
ONE_SEED = "one seed cannot tell"
MEAN = "the mean of all"
"""What Δm is a verdict on."""
MEAN_OF_OTHERS = "the mean of the others"
"""Likewise, where a task is left out of it."""
NOTHING = "nothing to compare with"


def verdict(what: str, change: Interval | None) -> str:
    """`dwell gains`, `dwell loses`, or that neither can be said.

    Args:
        what: the task.
        change: how much better it is than alone; None where one of the two is missing.
    """
    if change is None:
        return NOTHING
    if change.low is None or change.high is None:
        return ONE_SEED
    if change.low > 0:
        return f"{what} gains"
    if change.high < 0:
        return f"{what} loses"
    return NO_DIFFERENCE
