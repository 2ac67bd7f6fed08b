"""Fisher's exact test of two shares."""

import math

NEGLIGIBLE = 1e-17
"""Of the sum so far: later terms fall ever faster."""


def more_often(part: int, whole: int, other_part: int, other_whole: int) -> float:
    """Probability of `part` or more of `whole` rows, were they as often so as the other rows (Fisher 1922).

    Exact for any numbers of rows, few ones too: given that `part` + `other_part` of all rows are so, how many of them
    lie among the first `whole` is hypergeometric.

    Args:
        part: rows of the first set that are so.
        whole: all rows of the first set.
        other_part: rows of the second set that are so.
        other_whole: all rows of the second set.
    """
    total, so = whole + other_whole, part + other_part
    most = min(whole, so)
    expected = whole * so / total if total else 0.0
    if part <= expected:
        return 1.0  # not more often; near 1 or not, nobody asks how near
    term = math.exp(_log_choose(whole, part) + _log_choose(other_whole, so - part) - _log_choose(total, so))
    found = term
    for k in range(part, most):
        term *= (whole - k) * (so - k) / ((k + 1) * (other_whole - so + k + 1))
        found += term
        if term < NEGLIGIBLE * found:
            break
    return min(found, 1.0)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
