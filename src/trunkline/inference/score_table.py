"""Score table: what `trunkline evaluate` prints, as a frame."""

from typing import Any

import polars as pl

from trunkline.metrics import Scores
from trunkline.tables.frames import is_pandas, pandas_of


def score_table(scores: Scores, given: Any) -> Any:
    """A row a task and a column a metric, null where the task's kind has none of that name.

    Args:
        scores: of every task.
        given: the rows that were scored; a pandas frame gets one back, all else polars.
    """
    metrics = [name for name in dict.fromkeys(name for values in scores.values() for name in values) if name != "rows"]
    made = pl.DataFrame(
        [
            pl.Series("task", list(scores), dtype=pl.String),
            *(pl.Series(name, [v.get(name) for v in scores.values()], dtype=pl.Float64) for name in metrics),
            pl.Series("rows", [values.get("rows") for values in scores.values()], dtype=pl.Int64),
        ]
    )
    return pandas_of(made, type(given)) if is_pandas(given) else made
