"""Fall on test rows: a score that later rows do not bear out."""

import math

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "falls_on_test"
SEVERITY = 0.8
"""What the validation rows promise is not what will be had."""
BEYOND = 3.0
"""Standard errors of the difference."""
LEAST, MOST = 0.02, 0.1
"""Of an AUC or a correlation: a smaller fall is no news, and a larger one is as bad as this."""


def falls_on_test(observations: Observations) -> list[Finding]:
    """Tasks whose test rows are scored lower than the validation rows, beyond chance and by `LEAST`."""
    found = []
    for name, quality in (observations.quality or {}).items():
        valid, test = quality.score, quality.test
        if valid is None or test is None or valid.se is None or test.se is None:
            continue
        fall = valid.value - test.value
        if fall < max(LEAST, BEYOND * math.hypot(valid.se, test.se)):
            continue
        found.append(
            Finding(
                kind=KIND,
                weight=SEVERITY * min(1.0, fall / MOST),
                subject=name,
                sentence=f"{name}: {quality.metric} {valid.value:.4f} on validation rows and "
                f"{test.value:.4f} on test rows, {fall:.4f} less, which is no chance (± "
                f"{1.96 * math.hypot(valid.se, test.se):.4f})",
                evidence={"valid": valid.value, "test": test.value},
                remedy=_remedy(observations),
            )
        )
    return found


def _remedy(observations: Observations) -> str:
    split = observations.config.data.split
    look = "trunkline diagnose names columns that drift"
    if split is not None and split.by == "time":
        return f"by hand: see whether {split.column} and the features are known when estimates are made; {look}"
    return f"by hand: see how the test rows came about; {look}"
