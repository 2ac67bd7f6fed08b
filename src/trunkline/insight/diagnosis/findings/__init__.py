"""Detectors: from observations to findings, one detector a file."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from trunkline.insight.diagnosis.findings.broken_loss import broken_loss
from trunkline.insight.diagnosis.findings.clamped_noise import clamped_noise
from trunkline.insight.diagnosis.findings.conflict import conflicts
from trunkline.insight.diagnosis.findings.constant_columns import constant_columns
from trunkline.insight.diagnosis.findings.dead_layers import dead_layers
from trunkline.insight.diagnosis.findings.dominance import dominance
from trunkline.insight.diagnosis.findings.drift import drift
from trunkline.insight.diagnosis.findings.falls_on_test import falls_on_test
from trunkline.insight.diagnosis.findings.finding import Change, Finding, Tried
from trunkline.insight.diagnosis.findings.leaks import leaks
from trunkline.insight.diagnosis.findings.miscalibrated import miscalibrated
from trunkline.insight.diagnosis.findings.missing import missing
from trunkline.insight.diagnosis.findings.no_better_than_constant import no_better_than_constant
from trunkline.insight.diagnosis.findings.observations import Judged, Observations
from trunkline.insight.diagnosis.findings.overfitting import overfitting
from trunkline.insight.diagnosis.findings.rare_labels import rare_labels
from trunkline.insight.diagnosis.findings.repeated_rows import repeated_rows
from trunkline.insight.diagnosis.findings.slow_tower import slow_towers
from trunkline.insight.diagnosis.findings.small_validation import small_validation
from trunkline.insight.diagnosis.findings.unique_ids import unique_ids
from trunkline.insight.diagnosis.findings.unseen_ids import unseen_ids
from trunkline.insight.diagnosis.findings.unused_experts import experts_unused
from trunkline.insight.diagnosis.findings.worse_than_linear import worse_than_linear
from trunkline.insight.diagnosis.findings.zeros_under_squares import zeros_under_squares

__all__ = ["DETECTORS", "OF_ROWS", "QUALITY", "Change", "Detector", "Finding", "Judged", "Observations", "Tried"]


@final
@dataclass(frozen=True)
class Detector:
    """One thing that can be wrong.

    Attributes:
        find: the findings.
        needs: what of the observations it reads.
        looks: at what, in words.
    """

    find: Callable[[Observations], list[Finding]]
    needs: str
    looks: str


QUALITY = "quality"
"""What detectors need that ask whether a run is any good."""
DETECTORS: tuple[Detector, ...] = (
    Detector(broken_loss, "tasks", "losses that are no numbers"),
    Detector(no_better_than_constant, QUALITY, "tasks no better than a constant"),
    Detector(worse_than_linear, QUALITY, "tasks that a linear model estimates better"),
    Detector(falls_on_test, QUALITY, "scores that fall from validation to test rows"),
    Detector(leaks, "alone", "columns that give a label away"),
    Detector(repeated_rows, "repeats", "validation and test rows that stand in training"),
    Detector(dominance, "pulls", "each task's share of the gradient in shared subnets"),
    Detector(dead_layers, "layers", "dead units of ReLU layers"),
    Detector(clamped_noise, "sigma", "learned σ at its bound"),
    Detector(conflicts, "pulls", "pairs of tasks whose gradients conflict"),
    Detector(slow_towers, "curves", "towers still learning while others overfit"),
    Detector(overfitting, QUALITY, "tasks that overfit"),
    Detector(zeros_under_squares, QUALITY, "labels mostly 0 under a squared loss"),
    Detector(miscalibrated, QUALITY, "estimates too high or too low in the mean"),
    Detector(small_validation, QUALITY, "scores known less well than epochs differ"),
    Detector(rare_labels, "judged", "labels too rare in the validation rows to judge by"),
    Detector(unique_ids, "singles", "ids that stand in one row"),
    Detector(unseen_ids, "unseen", "ids unseen in training"),
    Detector(drift, "shifts", "columns that drift"),
    Detector(missing, "missing", "columns without values"),
    Detector(constant_columns, "constants", "columns with one value"),
    Detector(experts_unused, "gates", "experts that no gate uses"),
)
"""In the order in which they are told where weights are equal."""
OF_ROWS = frozenset(
    {"leak", "rare_labels", "unseen_ids", "drift", "constant_columns", "missing", "repeated_rows", "unique_ids"}
)
"""Kinds that say something of the rows, whatever is trained on them."""
