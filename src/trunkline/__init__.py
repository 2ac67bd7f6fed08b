"""trunkline: one trunk, many branches. Deep multi-task learning with PyTorch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trunkline import balance, sharing, tasks
from trunkline.balance.fork import Fork
from trunkline.balance.parameter_fork import fork_at_parameters
from trunkline.errors import UserError
from trunkline.moved import install, tell
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.inputs import Inputs, ListFeature, Ragged
from trunkline.nn.mlp import MLP, Layers
from trunkline.optim.param_groups import GroupOptions, Subnets
from trunkline.optim.rowwise import RowAdagrad, RowAdam
from trunkline.optim.schedules import Constant, WarmupCosine, set_rates
from trunkline.towers import Towers, stop_gradient

if TYPE_CHECKING:
    from trunkline.config import Config
    from trunkline.inference.model import Model
    from trunkline.insight.comparison.compare import compare
    from trunkline.insight.comparison.result import Comparison
    from trunkline.insight.diagnosis.diagnose import Diagnosis, diagnose
    from trunkline.insight.importance.permutation_importance import Importance, importance
    from trunkline.insight.lr_range.range_test import lr_range
    from trunkline.insight.lr_range.sweeps import Ranges
    from trunkline.training.extend import extend
    from trunkline.training.fit import fit
    from trunkline.tuning.result import Tuning
    from trunkline.tuning.tune import tune

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "Comparison",
    "Config",
    "Constant",
    "Diagnosis",
    "Embedding",
    "Fork",
    "GroupOptions",
    "Importance",
    "Inputs",
    "Layers",
    "ListFeature",
    "Model",
    "Network",
    "Ragged",
    "Ranges",
    "RowAdagrad",
    "RowAdam",
    "Subnets",
    "Towers",
    "Tuning",
    "UserError",
    "WarmupCosine",
    "balance",
    "compare",
    "diagnose",
    "extend",
    "fit",
    "fork_at_parameters",
    "importance",
    "lr_range",
    "set_rates",
    "sharing",
    "stop_gradient",
    "tasks",
    "tune",
]

_LATER = {
    "Comparison": "trunkline.insight.comparison.result",
    "Config": "trunkline.config",
    "Diagnosis": "trunkline.insight.diagnosis.diagnose",
    "Importance": "trunkline.insight.importance.permutation_importance",
    "Model": "trunkline.inference.model",
    "Ranges": "trunkline.insight.lr_range.sweeps",
    "Tuning": "trunkline.tuning.result",
    "compare": "trunkline.insight.comparison.compare",
    "diagnose": "trunkline.insight.diagnosis.diagnose",
    "extend": "trunkline.training.extend",
    "fit": "trunkline.training.fit",
    "importance": "trunkline.insight.importance.permutation_importance",
    "lr_range": "trunkline.insight.lr_range.range_test",
    "tune": "trunkline.tuning.tune",
}
"""What needs more than torch is imported when it is first asked for."""


_RENAMED = {"Rate": "GroupOptions", "fork_exactly": "fork_at_parameters"}
"""Public names of version 0.1, and what they are called now."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        tell(f"trunkline.{name}", f"trunkline.{_RENAMED[name]}")
        return globals()[_RENAMED[name]]
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'trunkline' has no attribute {name!r}")


install()
