"""Gradient-boosted trees for each task: what a network has to beat on a table of this kind."""

import time
from itertools import count
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray

from trunkline.errors import UserError
from trunkline.insight.statistics.predictions import PREDICTIONS, Judged, write_values
from trunkline.insight.statistics.weighted import MAKERS, Numbers
from trunkline.preparation.data import Data
from trunkline.runs.files import write_json
from trunkline.tables import Store
from trunkline.tasks import Task

TREES = "trees"
_OWN = 254
"""Values of a category that are told apart, the most frequent ones; all others are one more."""
_ROUNDS, _EVERY = 300, 10
"""Boosting rounds, and after how many of them the validation rows are asked."""
_LOSSES = {
    "laplace": "absolute_error",
    "huber": "absolute_error",
    "quantile": "absolute_error",
    "poisson": "poisson",
    "negative_binomial": "poisson",
    "zero_inflated_lognormal": "poisson",
}
"""What a regression tree minimises for each kind; the squared error for the others."""


def check_trees() -> None:
    """Refuse trees where there are none.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        import sklearn.ensemble
    except ImportError as error:
        raise UserError(f"--with-trees needs scikit-learn ({error}); pip install 'trunkline[trees]'") from error
    assert sklearn.ensemble


def grow(data: Data, folder: Path, *, seed: int) -> None:
    """Fit the trees of one task, choose their number on the validation rows, and keep what they say of the test rows.

    They read the encoded ids and numbers; list features are left out.

    Args:
        data: encoded rows with the labels of one task.
        folder: of the run.
        seed: of scikit-learn.

    Raises:
        UserError: scikit-learn is not installed.
    """
    check_trees()
    (task,) = data.labels.tasks
    began, began_cpu = time.perf_counter(), time.process_time()
    table = _Table(data.stores["train"])
    train, valid = (_rows(data.stores[part], task) for part in ("train", "valid"))
    classes = len(data.labels.classes.get(task.name, ())) if task.kind == "multiclass" else 0
    kept = data.stores["train"].rows.weights.get(task.name)
    weight = None if kept is None else kept.numpy()[train.rows]
    model = _model(task, table.categories, seed)
    model.fit(table(data.stores["train"], train.rows), _labels(task, train), sample_weight=weight)
    best, chosen = -np.inf, _ROUNDS
    wanted = MAKERS[task.headline]
    for rounds, value in zip(
        count(1), _staged(model, task, table(data.stores["valid"], valid.rows), classes), strict=False
    ):
        if rounds % _EVERY == 0 or rounds == _ROUNDS:
            score = float(wanted(value, valid.target)(np.ones((len(valid.target), 1)))[0])
            if score > best:
                best, chosen = score, rounds
    every = np.arange(len(data.stores["test"]))
    stages = _staged(model, task, table(data.stores["test"], every), classes)
    value = next(stage for rounds, stage in zip(count(1), stages, strict=False) if rounds == chosen)
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    scored = {"valid": {task.name: {task.headline: best if np.isfinite(best) else None}}}
    write_json(
        folder / "metrics.json", {**scored, "rounds": chosen, "train_seconds": round(seconds, 3), "parameters": None}
    )
    write_values(folder / PREDICTIONS, {task.name: torch.from_numpy(value)}, {"cpu_seconds": round(cpu, 3)})


@final
class _Table:
    """Ids and numbers as trees read them.

    Args:
        train: the rows that say which values of a category are frequent.

    Raises:
        UserError: there are neither ids nor numbers.
    """

    def __init__(self, train: Store) -> None:
        ids, numbers = train.rows.ids.numpy(), train.rows.numbers
        if not ids.shape[1] + numbers.shape[1]:
            raise UserError("trees read ids and numbers; there are only list features")
        self._codes = [_codes(ids[:, column]) for column in range(ids.shape[1])]
        self.categories = np.arange(ids.shape[1] + numbers.shape[1]) < ids.shape[1]

    def __call__(self, store: Store, rows: NDArray[np.intp]) -> Numbers:
        """`[n, C + M]` of some rows."""
        ids, numbers = store.rows.ids.numpy(), store.rows.numbers.numpy()
        known = [codes.take(np.minimum(ids[rows, i], len(codes) - 1)) for i, codes in enumerate(self._codes)]
        return np.column_stack([*known, numbers[rows]]).astype(np.float64)


def _codes(ids: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
    """By id its code: frequent ids first, and the rest, and those that do not occur, together under the last one."""
    counts = np.bincount(ids)
    codes = np.full(len(counts) + 1, _OWN)
    frequent = np.argsort(-counts, kind="stable")[:_OWN]
    frequent = frequent[counts[frequent] > 0]
    codes[frequent] = np.arange(len(frequent))
    return codes


def _rows(store: Store, task: Task) -> Judged:
    return Judged(task, store.rows.labels[task.name], store.rows.weights.get(task.name))


def _labels(task: Task, rows: Judged) -> Numbers:
    return np.log(rows.target) if task.kind == "lognormal" else rows.target


def _model(task: Task, categories: NDArray[np.bool_], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    common = {"max_iter": _ROUNDS, "early_stopping": False, "categorical_features": categories, "random_state": seed}
    if task.kind in ("binary", "multiclass"):
        return HistGradientBoostingClassifier(**common)
    return HistGradientBoostingRegressor(loss=_LOSSES.get(task.kind, "squared_error"), **common)


def _staged(model: Any, task: Task, table: Numbers, classes: int) -> Any:
    """What the headline metric reads of these rows, after each round."""
    if task.kind == "binary":
        yield from (stage.reshape(len(table)) for stage in model.staged_decision_function(table))
    elif task.kind == "multiclass":
        places = model.classes_.astype(int)
        for stage in model.staged_predict_proba(table):
            probabilities = np.zeros((len(table), classes))
            probabilities[:, places] = stage
            yield probabilities
    else:
        yield from model.staged_predict(table)
