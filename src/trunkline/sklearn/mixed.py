"""Mixed outputs: classes and numbers from one network."""

from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if

from trunkline.sklearn.estimator import MultiTaskEstimator
from trunkline.sklearn.outputs import BY_VALUES


def _some_classes(estimator: "MultiTaskMixed") -> bool:
    return any(output.classes is not None for output in getattr(estimator, "_outputs", ()))


@final
class MultiTaskMixed(MultiTaskEstimator, BaseEstimator):
    """Estimator of outputs of several kinds, classes and numbers, by one network; options as in `MultiTaskEstimator`.

    `tasks` says each output's kind, as a config does; what it says nothing of is classified or estimated as its values
    ask for (`trunkline init` proposes the same kinds). Labels that are missing (NaN, None) teach nothing, for that
    output alone.

    Example:
        >>> import numpy as np, polars as pl
        >>> x = np.random.default_rng(0).normal(size=200)
        >>> X = pl.DataFrame({"x": x})
        >>> y = pl.DataFrame({"click": x > 0, "dwell": np.exp(x)})
        >>> tasks = {"click": "binary", "dwell": {"kind": "lognormal", "where": "click"}}
        >>> mixed = MultiTaskMixed(tasks=tasks, hidden=(16,), random_state=0).fit(X, y)
        >>> sorted(mixed.task_scores(X, y))
        ['click', 'dwell']
    """

    default_kind: ClassVar[str] = BY_VALUES
    only_classes: ClassVar[bool | None] = None

    @property
    def classes_(self) -> Any:
        """The classes in order `[K]`, as they were given, None of a number; a list where y had two dimensions."""
        return self._class_lists()

    @available_if(_some_classes)
    def predict_proba(self, X: Any) -> np.ndarray | list[np.ndarray | None]:
        """Probabilities `[N, K]` of the classes in the order of `classes_`; where y had two dimensions, a list of such.

        The list has None in the place of an output that is a number. There is no such method where all of them are.

        Raises:
            ValueError: columns that differ from those in `fit`, or hold what they cannot.
        """
        found: np.ndarray | list[np.ndarray | None] = self._probabilities(X)
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean over outputs of the accuracy or, of numbers, R², each over the rows in which its label is observed.

        A mean of unlike things, good for comparing one estimator's settings; `task_scores` has each output's.

        Raises:
            ValueError: as in `predict`; no label in these rows.
        """
        return self._mean_score(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags
