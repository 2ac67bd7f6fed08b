"""trunkline: one trunk, many branches. Deep multi-task learning with PyTorch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trunkline import balance, sharing, tasks
from trunkline.embedding import Embedding
from trunkline.errors import UserError
from trunkline.exact import fork_exactly
from trunkline.fork import Fork
from trunkline.inputs import Inputs, ListFeature, Ragged
from trunkline.mlp import MLP, Layers
from trunkline.network import Network
from trunkline.rowwise import RowAdagrad, RowAdam
from trunkline.schedules import Constant, WarmupCosine, set_rates
from trunkline.subnets import Rate, Subnets
from trunkline.towers import Towers, stop_gradient

if TYPE_CHECKING:
    from trunkline.config import Config
    from trunkline.insight.compare import compare
    from trunkline.insight.diagnose import Diagnosis, diagnose
    from trunkline.insight.importance import Importance, importance
    from trunkline.insight.lr_range import lr_range
    from trunkline.insight.result import Comparison
    from trunkline.insight.sweeps import Ranges
    from trunkline.training.extend import extend
    from trunkline.training.fit import fit
    from trunkline.training.model import Model
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
    "Importance",
    "Inputs",
    "Layers",
    "ListFeature",
    "Model",
    "Network",
    "Ragged",
    "Ranges",
    "Rate",
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
    "fork_exactly",
    "importance",
    "lr_range",
    "set_rates",
    "sharing",
    "stop_gradient",
    "tasks",
    "tune",
]

_LATER = {
    "Comparison": "trunkline.insight.result",
    "Config": "trunkline.config",
    "Diagnosis": "trunkline.insight.diagnose",
    "Importance": "trunkline.insight.importance",
    "Model": "trunkline.training.model",
    "Ranges": "trunkline.insight.sweeps",
    "Tuning": "trunkline.tuning.result",
    "compare": "trunkline.insight.compare",
    "diagnose": "trunkline.insight.diagnose",
    "extend": "trunkline.training.extend",
    "fit": "trunkline.training.fit",
    "importance": "trunkline.insight.importance",
    "lr_range": "trunkline.insight.lr_range",
    "tune": "trunkline.tuning.tune",
}
"""What needs more than torch is imported when it is first asked for."""


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module 'trunkline' has no attribute {name!r}")
