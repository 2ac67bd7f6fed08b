"""What a KPI is: its likelihood, its estimate, and how it depends on other KPIs."""

from trunkline.tasks.base import Task
from trunkline.tasks.binary import Binary
from trunkline.tasks.cascade import cascade_order, check_tasks, sample_space
from trunkline.tasks.losses import mean_loss, task_losses
from trunkline.tasks.multiclass import Multiclass
from trunkline.tasks.regression import Regression

TASK_KINDS: dict[str, type[Task]] = {kind.kind: kind for kind in (Binary, Multiclass, Regression)}
"""The kinds a config can name."""

__all__ = [
    "TASK_KINDS",
    "Binary",
    "Multiclass",
    "Regression",
    "Task",
    "cascade_order",
    "check_tasks",
    "mean_loss",
    "sample_space",
    "task_losses",
]
