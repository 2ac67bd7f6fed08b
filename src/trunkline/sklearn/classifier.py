"""The classifier: outputs of two classes or more."""

from typing import Any, ClassVar, final

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from trunkline.sklearn.estimator import MultiTaskEstimator
from trunkline.sklearn.outputs import BY_CLASSES


@final
class MultiTaskClassifier(MultiTaskEstimator, ClassifierMixin, BaseEstimator):
    """Classifier of one output or several, by one network; options as in `MultiTaskEstimator`.

    An output of two classes is a binary task, one of more a multiclass task. Labels that are missing (NaN, None) teach
    nothing, for that output alone.

    Example:
        >>> import numpy as np
        >>> draw = np.random.default_rng(0)
        >>> X = draw.normal(size=(200, 3))
        >>> y = np.column_stack([np.where(X[:, 0] > 0, "yes", "no"), np.where(X[:, 1] > 0, "up", "down")])
        >>> classifier = MultiTaskClassifier(hidden=(16,), random_state=0).fit(X, y)
        >>> classifier.predict([[2.0, -2.0, 0.0]]).tolist()
        [['yes', 'down']]
        >>> [one.shape for one in classifier.predict_proba(X)]
        [(200, 2), (200, 2)]
    """

    default_kind: ClassVar[str] = BY_CLASSES
    only_classes: ClassVar[bool | None] = True

    @property
    def classes_(self) -> Any:
        """The classes in order `[K]`, as they were given; where y had two dimensions, a list with those of each."""
        return self._class_lists()

    def predict_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Probabilities `[N, K]` of the classes in the order of `classes_`; where y had two dimensions, a list of such.

        Raises:
            ValueError: columns that differ from those in `fit`, or hold what they cannot.
        """
        found: np.ndarray | list[np.ndarray] = self._probabilities(X)
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean over outputs of the accuracy, each over the rows in which its label is observed.

        NOTE[DIFF]: scikit-learn's multi-output classifiers count rows in which all outputs are right; with labels
        missing there may be no such row.

        Raises:
            ValueError: as in `predict`; no label in these rows.
        """
        return self._mean_score(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags
