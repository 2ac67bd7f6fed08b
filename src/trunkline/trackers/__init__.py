"""What a training tells other programs while it runs: TensorBoard, MLflow."""

from trunkline.trackers.base import Tracker
from trunkline.trackers.mlflow import MLflow
from trunkline.trackers.tensorboard import TensorBoard
from trunkline.trackers.tracking import Tracking, check_trackers

__all__ = ["MLflow", "TensorBoard", "Tracker", "Tracking", "check_trackers"]
