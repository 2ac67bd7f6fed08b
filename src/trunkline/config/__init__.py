"""The configuration as validated models: what a user writes is checked here."""

from trunkline.config.balance import BalanceConfig
from trunkline.config.data import DataConfig, SplitConfig
from trunkline.config.network import NetworkConfig
from trunkline.config.optimizer import ConstantConfig, OptimizerConfig, ScheduleConfig, WarmupCosineConfig
from trunkline.config.root import Config
from trunkline.config.section import Chosen
from trunkline.config.tasks import TaskConfig
from trunkline.config.training import TrainingConfig

__all__ = [
    "BalanceConfig",
    "Chosen",
    "Config",
    "ConstantConfig",
    "DataConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "ScheduleConfig",
    "SplitConfig",
    "TaskConfig",
    "TrainingConfig",
    "WarmupCosineConfig",
]
