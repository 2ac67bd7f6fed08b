"""Label units of a task of real numbers, taken from its training labels."""

import math

from trunkline.errors import UserError


def check_units(task: str, center: float, scale: float) -> None:
    """Check what stands for 0 and 1 in a task's standardised units.

    Raises:
        UserError: a scale that is not a positive finite number, or a centre that is not finite.
    """
    if not (scale > 0 and math.isfinite(scale) and math.isfinite(center)):
        raise UserError(
            f"task {task}: center {center}, scale {scale}; the scale must be positive and both must be finite"
        )
