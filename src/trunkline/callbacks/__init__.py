"""Callbacks: they are told of a training while it goes on, and may end it."""

from trunkline.callbacks.base import Callback, Line, Training
from trunkline.callbacks.time_limit import TimeLimit
from trunkline.registry import Registry

CALLBACKS: Registry[Callback] = Registry(
    "callback", {"time_limit": TimeLimit}, group="trunkline.callbacks", base=Callback
)
"""What `training.callbacks` can name; trunkline's own history, selection and checkpoints are always there."""

__all__ = ["CALLBACKS", "Callback", "Line", "TimeLimit", "Training"]
