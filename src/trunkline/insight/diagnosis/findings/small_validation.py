"""Small validation part: a score known less well than the epochs differ."""

from trunkline.insight.diagnosis.findings.finding import Finding
from trunkline.insight.diagnosis.findings.observations import Observations

KIND = "small_validation"
SEVERITY = 0.4
"""Which epoch is kept, and which method seems better, is decided by chance."""
WIDE = 0.03
"""Of an AUC or a correlation: half of a 95 % interval that is narrower does no harm."""


def small_validation(observations: Observations) -> list[Finding]:
    """Tasks whose score has an interval of more than ± `WIDE`, wider than what epochs differ by."""
    found = []
    for name, quality in (observations.quality or {}).items():
        score, epochs = quality.score, [value for value in quality.headlines if value is not None]
        if quality.few:
            found.append(_of_few(observations, name, quality.rows))
            continue
        if score is None or score.low is None or score.high is None or len(epochs) < 2:
            continue
        half, apart = (score.high - score.low) / 2, max(epochs) - min(epochs)
        if half <= max(WIDE, apart):
            continue
        found.append(
            Finding(
                kind=KIND,
                weight=SEVERITY * min(1.0, half / 0.2),
                subject=name,
                sentence=f"{name}: {quality.metric} {score.value:.3f} ± {half:.3f} on "
                f"{quality.rows:,} validation rows, and its epochs are {apart:.3f} apart: they are told "
                "apart by chance as much as by merit",
                evidence={"score": score.value, "half": half, "apart": apart, "rows": quality.rows},
                remedy=_remedy(observations),
            )
        )
    return found


def _of_few(observations: Observations, name: str, rows: int) -> Finding:
    return Finding(
        kind=KIND,
        weight=SEVERITY,
        subject=name,
        sentence=f"{name} has {rows} validation row{'s' * (rows != 1)}, which tell nothing",
        evidence={"rows": rows},
        remedy=_remedy(observations),
    )


def _remedy(observations: Observations) -> str:
    split = observations.config.data.split
    if split is None:
        return "data.split: {by: random, valid: 0.2, test: 0}  # of the training rows, in place of data.valid"
    return f"data.split.valid: {min(2 * split.valid, 0.3):.2g}"
