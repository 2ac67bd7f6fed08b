"""Missing numbers: filled with 0, and said so."""

import numpy as np


def with_indicator(values: np.ndarray, indicator: bool, *, missing: np.ndarray | None = None) -> np.ndarray:
    """Float32 `[N, k]` with 0 where missing, and a further column that says so if `indicator`.

    Args:
        values: `[N, k]`, NaN where missing.
        indicator: whether to add the column.
        missing: `[N]`, where NaN in the first column does not tell.
    """
    if missing is None:
        missing = np.isnan(values[:, 0])
    filled = np.where(missing[:, None], 0.0, values)
    return (np.hstack([filled, missing[:, None]]) if indicator else filled).astype(np.float32)
