"""Missing values of encoded columns."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from trunkline.insight.diagnosis.measures.columns import Values, by_column
from trunkline.nn.embedding import MISSING
from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Encoder
from trunkline.tables.columns import Column, NumberColumn


def missing_in(column: Column, values: Values) -> NDArray[np.bool_] | None:
    """`[N]`, true where a row has no value; None where the encoded rows do not tell.

    Without an indicator a missing number is the training rows' mean, which a number may be by itself.
    """
    if isinstance(values, Ragged):
        # A null list is one missing element, and no other list has any.
        starts, lengths = values.offsets[:-1].numpy(), values.offsets.diff().numpy()
        found: NDArray[np.bool_] = lengths == 1
        found[found] = values.values.numpy()[starts[found]] == MISSING
        return found
    if values.ndim == 1:
        return np.asarray(values == MISSING)
    if not values.shape[1]:
        return None
    if not isinstance(column, NumberColumn):
        return None
    if column.has_indicator:
        return np.asarray(values[:, -1] > 0)
    return np.asarray((values == 0).all(axis=1)) if column.zero_is_missing else None


def missing_shares(encoder: Encoder, parts: Mapping[str, Batch]) -> dict[str, dict[str, float]]:
    """`{column: {part: share}}` of the rows without a value.

    A number that no training row lacks has no indicator. Where no training row lies at their mean, which as a rule is
    no value of theirs, those of a later part that do have no value; where some do, the later parts do not tell.

    Args:
        encoder: of the rows.
        parts: encoded rows by part, `train` among them.
    """
    found: dict[str, dict[str, float]] = {}
    for part, rows in sorted(parts.items(), key=lambda item: item[0] != "train"):
        for column, values in by_column(encoder, rows):
            missing = missing_in(column, values)
            if missing is None and not isinstance(values, Ragged) and values.shape[1]:
                missing = (values == 0).all(axis=1)
                if part == "train" and missing.any():
                    continue
            if missing is not None and (part == "train" or column.name in found):
                found.setdefault(column.name, {})[part] = float(missing.mean()) if len(missing) else 0.0
    return found
