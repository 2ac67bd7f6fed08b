"""`training`: epochs, batches, selection, trackers and callbacks."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from trunkline.callbacks import CALLBACKS
from trunkline.config.section import Chosen, Positive, Section, chosen
from trunkline.errors import UserError
from trunkline.trackers import TRACKERS


def _one_or_more(value: Any) -> Any:
    """One alone is short for a list of it."""
    return [value] if isinstance(value, (str, dict, Chosen)) else value


def _can_be_made(tracker: Chosen) -> Chosen:
    try:
        TRACKERS.make(tracker.kind, tracker.options)
    except UserError as error:
        raise ValueError(str(error)) from None
    return tracker


AnyTracker = Annotated[Chosen, BeforeValidator(chosen(TRACKERS.options)), AfterValidator(_can_be_made)]
AnyCallback = Annotated[Chosen, BeforeValidator(chosen(CALLBACKS.options))]


class TrainingConfig(Section):
    """The loop."""

    epochs: Positive = 10
    """Passes through the training rows, at most."""
    batch_size: Positive = 4096
    """Rows of a step."""
    patience: Positive | None = 2
    """Epochs without a better validation score before training stops; null for never."""
    select: str = "mean"
    """`mean` (over every task's headline metric), `mean_<metric>`, or `<task>.<metric>`."""
    seed: int = 0
    """Of everything that is drawn."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes cuda, then mps, then cpu."""
    amp: Literal["none", "bf16", "fp16"] = "none"
    """Half precision of matrix products; fp16 needs cuda."""
    compile: bool = False
    """Whether `torch.compile` turns the network into fused code; the first steps then take longer."""
    log_every: Positive = 50
    """Steps between two lines of the history; an epoch's last step has one in any case."""
    log_gradients: bool = False
    """Whether those lines hold the norms and cosines of the tasks' gradients."""
    checkpoint_minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = 10
    """Minutes after which a checkpoint is written within an epoch too; null for epochs' ends alone."""
    bad_batches: Annotated[int, Field(ge=0)] = 0
    """How many batches whose loss or gradient is not a number may be left out; the next one stops the training."""
    trackers: Annotated[list[AnyTracker], BeforeValidator(_one_or_more)] = Field(default_factory=list)
    """Where else the history is shown while the training runs."""

    callbacks: Annotated[list[AnyCallback], BeforeValidator(_one_or_more)] = Field(default_factory=list)
    """What else is told of the training, and may end it: `time_limit`, and callbacks of installed packages."""

    @field_validator("trackers")
    @classmethod
    def _each_once(cls, trackers: list[Chosen]) -> list[Chosen]:
        kinds = [tracker.kind for tracker in trackers]
        twice = [kind for kind in dict.fromkeys(kinds) if kinds.count(kind) > 1]
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice; once will do")
        return trackers
