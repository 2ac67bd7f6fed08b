"""The loop."""

from typing import Literal

from trunkline.config.section import Positive, Section


class TrainingConfig(Section):
    """The loop."""

    epochs: Positive = 10
    batch_size: Positive = 4096
    patience: Positive | None = 2
    """Epochs without a better validation score before training stops; null for never."""
    select: str = "mean"
    """`mean` (over every task's headline metric), `mean_<metric>`, or `<task>.<metric>`."""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    amp: Literal["none", "bf16", "fp16"] = "none"
    compile: bool = False
    """Whether `torch.compile` turns the network into fused code; the first steps then take longer."""
    log_every: Positive = 50
    """Steps between two lines of the history."""
    log_gradients: bool = False
    """Whether those lines hold the norms and cosines of the tasks' gradients."""
