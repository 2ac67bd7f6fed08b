"""The regressor: outputs that are numbers."""

from typing import Any, ClassVar, final

from sklearn.base import BaseEstimator, RegressorMixin

from trunkline.sklearn.estimator import MultiTaskEstimator


@final
class MultiTaskRegressor(MultiTaskEstimator, RegressorMixin, BaseEstimator):
    """Regressor of one output or several, by one network; options as in `MultiTaskEstimator`.

    Each output is a `regression` task unless `tasks` says another kind: `lognormal`, `poisson`, `quantile`, … Labels
    that are missing (NaN, None) teach nothing, for that output alone.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(200, 3))
        >>> y = np.column_stack([X[:, 0] - X[:, 1], np.exp(X[:, 0])])
        >>> y[::2, 1] = np.nan
        >>> regressor = MultiTaskRegressor(tasks={"y1": "lognormal"}, hidden=(16,), random_state=0).fit(X, y)
        >>> regressor.predict(X).shape
        (200, 2)
    """

    default_kind: ClassVar[str] = "regression"
    only_classes: ClassVar[bool | None] = False

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean over outputs of R², each over the rows in which its label is observed.

        Raises:
            ValueError: as in `predict`; no output with two labels in these rows.
        """
        return self._mean_score(X, y, sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        return tags
