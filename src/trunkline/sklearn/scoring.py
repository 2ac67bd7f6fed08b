"""Scores of outputs as scikit-learn counts them, over the rows in which the label was observed."""

import numpy as np
from sklearn.metrics import accuracy_score, r2_score

from trunkline.sklearn.outputs import Output, as_numbers
from trunkline.sklearn.targets import Target


def score_output(
    output: Output, target: Target, predicted: np.ndarray, *, counted: np.ndarray | None, weights: np.ndarray | None
) -> float | None:
    """Accuracy of classes, R² of numbers; None where there is no label, or R² has fewer than two.

    Args:
        output: what is scored.
        target: its labels.
        predicted: `[N]`.
        counted: rows `[N]` that count; all if None.
        weights: of the rows `[N]`.

    Raises:
        UserError: labels that are no numbers where they should be.
    """
    observed, known = target.observed, target.values
    if counted is not None:
        observed, known = observed & counted, known[counted[observed]]
    weights = None if weights is None else weights[observed]
    if output.classes is not None:
        return float(accuracy_score(known, predicted[observed], sample_weight=weights)) if len(known) else None
    if len(known) < 2:
        return None
    numbers = as_numbers(known, name=output.name)
    return float(r2_score(numbers, predicted[observed], sample_weight=weights))
