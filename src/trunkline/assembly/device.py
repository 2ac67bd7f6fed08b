"""Choosing the device a training computes on."""

import torch

from trunkline.config import (
    TrainingConfig,
)
from trunkline.errors import UserError


def pick_device(config: TrainingConfig) -> torch.device:
    """The device asked for; under `auto` cuda, then mps, then cpu.

    Raises:
        UserError: the device is not there; float16 without cuda.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(n for n, there in present.items() if there) if config.device == "auto" else config.device
    if not present[name]:
        there = ", ".join(n for n, is_there in present.items() if is_there)
        raise UserError(f"training.device: {name} is not available here; available: {there}")
    if config.amp == "fp16" and name != "cuda":
        raise UserError(f"training.amp: fp16 needs cuda (gradients are scaled there); on {name} use bf16 or none")
    return torch.device(name)
