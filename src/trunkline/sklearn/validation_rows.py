"""Validation rows of an estimator: held out at random, alike in their labels to the others."""

from collections.abc import Iterable

import numpy as np

from trunkline.tables.splits import PARTS, Split, assign


def validation_rows(rows: int, classes: Iterable[np.ndarray], *, share: float, seed: int) -> np.ndarray:
    """Which rows `[N]` are held out: boolean.

    Rows are spread evenly by their labels' classes, and a class whose rows were all held out gives one back: a network
    can only be scored on classes that it was shown.

    Args:
        rows: how many there are.
        classes: of each output with classes their places `[N]`, -1 where not observed.
        share: to hold out.
        seed: of the draw.

    Raises:
        UserError: a share outside [0, 1), or so small that no row is held out.
    """
    places = list(classes)
    strata = np.unique(np.column_stack(places), axis=0, return_inverse=True)[1].reshape(-1) if places else None
    split = Split(by="random", column=None, valid=share, test=0.0, seed=seed)
    held: np.ndarray = assign(split, None, rows=rows, strata=strata)[0] == PARTS.index("valid")
    for place in places:
        for lost in np.setdiff1d(place, place[~held]):
            held[np.flatnonzero(place == lost)[0]] = False
    return held
