"""How long to train, and in steps of how many rows, where `auto` leaves it to the number of rows."""

import math
import numbers

from trunkline.errors import UserError

SMALLEST, LARGEST = 32, 4096
"""Rows of a step."""
ROWS_A_STEP = 32
"""Of a table this share is a step, in between."""
STEPS = 1000
"""Steps to take in all, if the epochs below allow it."""
FEWEST, MOST = 10, 100
"""Passes through the rows."""
VALIDATED = 10_000
"""Rows from which a tenth is kept to choose the epoch by."""


def rows_a_step(rows: int) -> int:
    """A power of two near a 32nd of the rows, from 32 to 4096."""
    return min(LARGEST, max(SMALLEST, 1 << max(0, round(math.log2(max(rows, 1) / ROWS_A_STEP)))))


def epochs_for(rows: int, batch_size: int) -> int:
    """About a thousand steps, in 10 to 100 passes."""
    return min(MOST, max(FEWEST, math.ceil(STEPS / math.ceil(max(rows, 1) / batch_size))))


def validation_share(rows: int, asked: float | str) -> float:
    """A tenth of 10,000 rows or more, and none of fewer, unless a share is asked for."""
    if isinstance(asked, str) and asked == "auto":
        return 0.1 if rows >= VALIDATED else 0.0
    if not isinstance(asked, numbers.Real) or not 0 <= asked < 1:
        raise UserError(f"validation_fraction is {asked!r}; it is 'auto', or a share from 0 up, below 1")
    return float(asked)


def patience_for(epochs: int) -> int:
    """A tenth of the epochs, two at least."""
    return max(2, epochs // 10)
