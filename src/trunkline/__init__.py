"""trunkline: one trunk, many branches. Deep multi-task learning with PyTorch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trunkline.moved import install, tell

if TYPE_CHECKING:
    from trunkline import balance, sharing, tasks
    from trunkline.balance.fork import Fork
    from trunkline.balance.parameter_fork import fork_at_parameters
    from trunkline.config import Config
    from trunkline.errors import UserError
    from trunkline.inference.model import Model
    from trunkline.insight.comparison.compare import compare
    from trunkline.insight.comparison.result import Comparison
    from trunkline.insight.diagnosis.diagnose import Diagnosis, diagnose
    from trunkline.insight.importance.permutation_importance import importance
    from trunkline.insight.importance.result import Importance
    from trunkline.insight.lr_range.range_test import lr_range
    from trunkline.insight.lr_range.sweeps import Ranges
    from trunkline.network import Network
    from trunkline.nn.embedding import Embedding
    from trunkline.nn.inputs import Inputs, ListFeature, Ragged
    from trunkline.nn.mlp import MLP, Layers
    from trunkline.optim.param_groups import GroupOptions, Subnets
    from trunkline.optim.rowwise import RowAdagrad, RowAdam
    from trunkline.optim.schedules import Constant, WarmupCosine, set_rates
    from trunkline.towers import Towers, stop_gradient
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

_PLACES = {
    "Comparison": "trunkline.insight.comparison.result",
    "Config": "trunkline.config",
    "Constant": "trunkline.optim.schedules",
    "Diagnosis": "trunkline.insight.diagnosis.diagnose",
    "Embedding": "trunkline.nn.embedding",
    "Fork": "trunkline.balance.fork",
    "GroupOptions": "trunkline.optim.param_groups",
    "Importance": "trunkline.insight.importance.result",
    "Inputs": "trunkline.nn.inputs",
    "Layers": "trunkline.nn.mlp",
    "ListFeature": "trunkline.nn.inputs",
    "MLP": "trunkline.nn.mlp",
    "Model": "trunkline.inference.model",
    "Network": "trunkline.network",
    "Ragged": "trunkline.nn.inputs",
    "Ranges": "trunkline.insight.lr_range.sweeps",
    "RowAdagrad": "trunkline.optim.rowwise",
    "RowAdam": "trunkline.optim.rowwise",
    "Subnets": "trunkline.optim.param_groups",
    "Towers": "trunkline.towers",
    "Tuning": "trunkline.tuning.result",
    "UserError": "trunkline.errors",
    "WarmupCosine": "trunkline.optim.schedules",
    "compare": "trunkline.insight.comparison.compare",
    "diagnose": "trunkline.insight.diagnosis.diagnose",
    "extend": "trunkline.training.extend",
    "fit": "trunkline.training.fit",
    "fork_at_parameters": "trunkline.balance.parameter_fork",
    "importance": "trunkline.insight.importance.permutation_importance",
    "lr_range": "trunkline.insight.lr_range.range_test",
    "set_rates": "trunkline.optim.schedules",
    "stop_gradient": "trunkline.towers",
    "tune": "trunkline.tuning.tune",
}
"""Where each public name is. Nothing is imported before it is asked for: the command line's help needs no torch."""

_ROOMS = ("balance", "sharing", "sklearn", "tasks")
"""Public names that are packages; `sklearn`, which needs scikit-learn, is not among those that `*` imports."""

_RENAMED = {"Rate": "GroupOptions", "fork_exactly": "fork_at_parameters"}
"""Public names of version 0.1, and what they are called now."""


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        tell(f"trunkline.{name}", f"trunkline.{_RENAMED[name]}")
        name = _RENAMED[name]
    if name in _PLACES:
        found = getattr(import_module(_PLACES[name]), name)
    elif name in _ROOMS:
        found = import_module(f"trunkline.{name}")
    else:
        raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


install()
