"""Contract suites: what every method, task kind, architecture, feature kind and metric must satisfy.

Each check takes a function that makes what is to be checked, and raises an `AssertionError` that says which property
does not hold. The same checks are run over everything that trunkline ships.

Examples:
    >>> from trunkline.balance import Sum
    >>> check_objective(lambda tasks: Sum(tasks))
"""

from trunkline.testing.architecture import check_architecture
from trunkline.testing.feature import check_feature
from trunkline.testing.gradients import check_gradient_method
from trunkline.testing.metric import check_metric
from trunkline.testing.objective import check_objective
from trunkline.testing.task import check_task

__all__ = [
    "check_architecture",
    "check_feature",
    "check_gradient_method",
    "check_metric",
    "check_objective",
    "check_task",
]
