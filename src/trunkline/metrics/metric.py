"""What a metric is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from trunkline.metrics.scored import Scored


@final
@dataclass(frozen=True)
class Metric:
    """A number that says how good the estimates of one task are.

    Attributes:
        summary: what it computes.
        higher_is_better: None if neither higher nor lower is, so that it cannot select a model.
        compute: the value over one row or more; None where it is not defined.
    """

    summary: str
    higher_is_better: bool | None
    compute: Callable[[Scored], float | None]
