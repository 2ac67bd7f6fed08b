"""Experiment trackers: TensorBoard, MLflow."""

from trunkline.registry import Registry
from trunkline.trackers.base import Tracker
from trunkline.trackers.mlflow import MLflow
from trunkline.trackers.tensorboard import TensorBoard

TRACKERS: Registry[Tracker] = Registry(
    "tracker", {"tensorboard": TensorBoard, "mlflow": MLflow}, group="trunkline.trackers", base=Tracker
)
"""What `training.trackers` can name."""

__all__ = ["TRACKERS", "MLflow", "TensorBoard", "Tracker"]
