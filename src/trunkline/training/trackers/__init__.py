"""What a training tells other programs while it runs: TensorBoard, MLflow."""

from trunkline.training.trackers.base import Tracker
from trunkline.training.trackers.mlflow import MLflow
from trunkline.training.trackers.tensorboard import TensorBoard
from trunkline.training.trackers.tracking import Tracking, check_trackers

__all__ = ["MLflow", "TensorBoard", "Tracker", "Tracking", "check_trackers"]
