"""Columns that give a label away: each by itself, learnt on one half of the rows and judged on the other."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from trunkline.tables.doctor.sheet import Choice, ColumnSheet
from trunkline.tables.number_format import NumberFormat

CERTAIN, DOUBTFUL = 0.999, 0.97
"""AUC, or R², of one column alone on rows that it was not learnt on."""
OTHERS = 0.9
"""What the median of the other columns has to stay below: where every column is near perfect, the task is easy."""
GIVES = "gives "
"""How the reason of a column that is left out begins."""
LEAST = 100
"""Rows below which nothing is said."""
BINS = 256
"""Of a number, of about as many rows each."""
LOOKED_AT = 16_384
"""Rows from which the bins are made."""
SMOOTH = 1.0
"""Rows with the mean label that every value is given beside its own."""
_TEXT = (pl.String, pl.Categorical, pl.Enum)


class Score(NamedTuple):
    """How well a column alone predicts a label.

    Attributes:
        task: the task's name.
        name: of the score, AUC or R².
        value: on rows that it was not learnt on.
    """

    task: str
    name: str
    value: float


def mark_leaks(
    sheets: Sequence[ColumnSheet], frame: pl.DataFrame, labels: Mapping[str, pl.Series]
) -> list[ColumnSheet]:
    """The sheets, with columns that give a label away left out where that is certain, and remarked on where it is not.

    Args:
        sheets: of the features.
        frame: the rows that the sheets are of.
        labels: of each task, as numbers, null where unknown; every class of a label by itself as 0 and 1.
    """
    if len(frame) < LEAST:
        return list(sheets)
    codes = {sheet.name: _codes(frame[sheet.name], sheet) for sheet in sheets if sheet.kind is not None}
    order = np.random.default_rng(0).permutation(len(frame))
    half = np.zeros(len(frame), dtype=bool)
    half[order[::2]] = True
    found: dict[str, list[Score]] = {name: [] for name in codes}
    for task, label in labels.items():
        values = label.cast(pl.Float64).fill_nan(None)
        known = values.is_not_null().to_numpy()
        if known.sum() < LEAST or values.n_unique() < 2 + bool(values.null_count()):
            continue
        numbers = values.fill_null(0.0).to_numpy()
        binary = set(np.unique(numbers[known])) <= {0.0, 1.0}
        train, other = np.flatnonzero(known & half), np.flatnonzero(known & ~half)
        scores = {name: _score(code, numbers, train, other, binary=binary) for name, code in codes.items()}
        for name, score in scores.items():
            rest = sorted(value for one, value in scores.items() if one != name and value < DOUBTFUL)
            if score >= DOUBTFUL and (not rest or rest[len(rest) // 2] < OTHERS):
                found[name].append(Score(task, "AUC" if binary else "R²", score))
    return [_marked(sheet, found.get(sheet.name, [])) for sheet in sheets]


def _marked(sheet: ColumnSheet, scores: list[Score]) -> ColumnSheet:
    if not scores:
        return sheet
    worst = max(scores, key=lambda score: score.value)
    told = f"alone it predicts {worst.task} with {worst.name} {worst.value:.4g}: known only after the fact?"
    if worst.value >= CERTAIN:
        kept = Choice(what=f"keep it, a feature of kind {sheet.kind}", kind=sheet.kind, options=dict(sheet.options))
        return replace(
            sheet,
            kind=None,
            options={},
            why=f"{GIVES}{worst.task} away ({worst.name} {worst.value:.4g} by itself)",
            choices=[Choice(what="left out", kind=None), kept],
        )
    taken = Choice(what="keep it", kind=sheet.kind, options=dict(sheet.options))
    return replace(sheet, remarks=[*sheet.remarks, told], choices=[taken, Choice(what="left out", kind=None)])


def _codes(series: pl.Series, sheet: ColumnSheet) -> np.ndarray:
    """`[N]` int64 of few different values: a bin of a number, or the place of a value, from 0; -1 where missing."""
    if sheet.kind == "numeric" and isinstance(series.dtype, _TEXT):
        series = NumberFormat.of(sheet.options.get("format", {})).parse(series.cast(pl.String))
    if sheet.kind in ("numeric", "datetime") and (series.dtype.is_numeric() or series.dtype.is_temporal()):
        values = series.to_physical().cast(pl.Float64).fill_nan(None).to_numpy()
        known = np.isfinite(values)
        some = values[known][:: 1 + int(known.sum()) // LOOKED_AT]
        edges = np.unique(np.quantile(some, np.linspace(0, 1, BINS + 1)[1:-1])) if len(some) else np.empty(0)
        return np.where(known, np.searchsorted(edges, np.nan_to_num(values), side="right"), -1)
    if isinstance(series.dtype, (pl.List, pl.Array)):
        series = series.hash()
    ranks = series.rank("dense").cast(pl.Int64).fill_null(-1)
    return ranks.to_numpy()


def _score(codes: np.ndarray, label: np.ndarray, train: np.ndarray, other: np.ndarray, *, binary: bool) -> float:
    """AUC of a label 0/1, R² of numbers, by the mean label of each value in the training rows."""
    place = codes + 1  # ranks and bins: small and dense
    width = int(place.max()) + 1
    count = np.bincount(place[train], minlength=width)
    total = np.bincount(place[train], label[train], minlength=width)
    mean = float(label[train].mean())
    estimate = ((total + SMOOTH * mean) / (count + SMOOTH))[place[other]]
    truth = label[other]
    if binary:
        ones = int(truth.sum())
        if not 0 < ones < len(truth):
            return 0.5
        ranks = pl.Series(estimate).rank("average").to_numpy()
        area = (float(ranks[truth == 1].sum()) - ones * (ones + 1) / 2) / (ones * (len(truth) - ones))
        return max(area, 1 - area)
    around = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - estimate) ** 2).sum()) / around if around > 0 else 0.0
