"""The loop."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from trunkline.config.section import Positive, Section, kind_alone


class TensorBoardConfig(Section):
    """See `training.trackers.TensorBoard`."""

    kind: Literal["tensorboard"]
    folder: str | None = None


class MLflowConfig(Section):
    """See `training.trackers.MLflow`."""

    kind: Literal["mlflow"]
    uri: str | None = None
    experiment: str | None = None
    name: str | None = None

    @field_validator("uri")
    @classmethod
    def _no_password(cls, uri: str | None) -> str | None:
        if uri is not None and re.search(r"//[^/@]*:[^/@]*@", uri):
            raise ValueError(
                "a password in the config would be kept in the run folder and sent to MLflow; give this uri in the "
                "environment variable MLFLOW_TRACKING_URI instead"
            )
        return uri


TrackerConfig = TensorBoardConfig | MLflowConfig
AnyTracker = Annotated[Annotated[TrackerConfig, Field(discriminator="kind")], BeforeValidator(kind_alone)]


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
    checkpoint_minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = 10
    """Minutes after which a checkpoint is written within an epoch too; null for epochs' ends alone."""
    bad_batches: Annotated[int, Field(ge=0)] = 0
    """How many batches whose loss or gradient is not a number may be left out; the next one stops the training."""
    trackers: list[AnyTracker] = Field(default_factory=list)
    """Where else the history is shown while the training runs."""

    @field_validator("trackers")
    @classmethod
    def _each_once(cls, trackers: list[TrackerConfig]) -> list[TrackerConfig]:
        kinds = [tracker.kind for tracker in trackers]
        twice = [kind for kind in dict.fromkeys(kinds) if kinds.count(kind) > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice; once will do")
        return trackers
