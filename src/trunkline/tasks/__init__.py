"""Tasks: a KPI's likelihood, its estimate, and how it depends on other KPIs."""

from dataclasses import fields

from trunkline.registry import Registry
from trunkline.tasks.base import Task
from trunkline.tasks.binary import Binary
from trunkline.tasks.cascade import cascade_order, check_tasks, sample_space
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.huber import Huber
from trunkline.tasks.laplace import Laplace
from trunkline.tasks.lognormal import Lognormal
from trunkline.tasks.losses import mean_loss, task_losses
from trunkline.tasks.mixture_density import MixtureDensity
from trunkline.tasks.multiclass import Multiclass
from trunkline.tasks.negative_binomial import NegativeBinomial
from trunkline.tasks.ordinal import Ordinal
from trunkline.tasks.poisson import Poisson
from trunkline.tasks.quantile import Quantile
from trunkline.tasks.regression import Regression
from trunkline.tasks.space import joint
from trunkline.tasks.zero_inflated_lognormal import ZeroInflatedLognormal

TASK_KINDS: Registry[Task] = Registry(
    "kind",
    {
        kind.kind: kind
        for kind in (
            Binary,
            Multiclass,
            Ordinal,
            Regression,
            Laplace,
            Huber,
            Quantile,
            MixtureDensity,
            Lognormal,
            ZeroInflatedLognormal,
            Poisson,
            NegativeBinomial,
        )
    },
    context=[field.name for field in fields(Task)],
    group="trunkline.tasks",
    base=Task,
    needs=[field.name for field in fields(Task)],
)
"""The kinds a config can name."""

__all__ = [
    "TASK_KINDS",
    "Binary",
    "Huber",
    "LabelFacts",
    "Laplace",
    "Lognormal",
    "MixtureDensity",
    "Multiclass",
    "NegativeBinomial",
    "Ordinal",
    "Poisson",
    "Quantile",
    "Regression",
    "Task",
    "ZeroInflatedLognormal",
    "cascade_order",
    "check_tasks",
    "joint",
    "mean_loss",
    "sample_space",
    "task_losses",
]
