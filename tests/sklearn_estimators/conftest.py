import numpy as np
import pandas as pd
import pytest

QUICK = {"hidden": (16,), "tower_hidden": (8,), "epochs": 12, "learning_rate": 0.02, "device": "cpu", "random_state": 0}
"""Options under which small tables train in a fraction of a second."""


@pytest.fixture(scope="session")
def quick():
    return QUICK


@pytest.fixture(scope="session")
def table():
    """Features of every sort `[90, 5]`, and outputs of every sort with holes in them."""
    draw, n = np.random.default_rng(0), 90
    liking = draw.normal(size=n)
    place = draw.integers(0, 3, n)
    X = pd.DataFrame(
        {
            "liking": liking,
            "age": draw.integers(18, 80, n),
            "place": pd.Categorical(np.array(["north", "south", "west"])[place]),
            "device": np.where(draw.random(n) < 0.5, "phone", "desk"),
            "member": draw.random(n) < 0.3,
        }
    )
    X.loc[::11, "age"] = np.nan
    y = pd.DataFrame(
        {
            "click": np.where(liking + 0.2 * draw.normal(size=n) > 0, "yes", "no"),
            "topic": place * 10,
            "dwell": np.exp(liking + 0.1 * draw.normal(size=n)),
        }
    )
    y = y.astype({"click": object, "topic": "Int64"})
    y.loc[::7, "click"] = None
    y.loc[::5, "topic"] = pd.NA
    y.loc[::6, "dwell"] = np.nan
    return X, y
