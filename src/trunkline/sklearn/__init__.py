"""scikit-learn estimators: one network for all outputs, fitted and asked as scikit-learn's own are."""

try:
    from sklearn.utils.validation import validate_data as _validate_data
except ImportError as error:
    raise ImportError(
        f"trunkline.sklearn needs scikit-learn 1.6 or later ({error}); pip install 'trunkline[sklearn]'"
    ) from error

from trunkline.sklearn.classifier import MultiTaskClassifier
from trunkline.sklearn.estimator import MultiTaskEstimator
from trunkline.sklearn.mixed import MultiTaskMixed
from trunkline.sklearn.regressor import MultiTaskRegressor

__all__ = ["MultiTaskClassifier", "MultiTaskEstimator", "MultiTaskMixed", "MultiTaskRegressor"]

assert _validate_data
