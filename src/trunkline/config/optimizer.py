"""The optimiser, and each subnet's own rate."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from trunkline.config.section import Rate, Section, kind_alone


class ConstantConfig(Section):
    """See `schedules.Constant`."""

    kind: Literal["constant"]


class WarmupCosineConfig(Section):
    """See `schedules.WarmupCosine`."""

    kind: Literal["warmup_cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    final: Annotated[float, Field(ge=0, le=1)] = 0.0


ScheduleConfig = Annotated[
    Annotated[ConstantConfig | WarmupCosineConfig, Field(discriminator="kind")], BeforeValidator(kind_alone)
]


class SubnetConfig(Section):
    """What one subnet learns with; see `subnets.Rate`."""

    lr: Rate | None = None
    weight_decay: Rate | None = None
    schedule: ScheduleConfig | None = None


class OptimizerConfig(Section):
    """The optimiser, and each subnet's own rate."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Rate = 0.001
    weight_decay: Rate = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd; the others have none."""
    rows: Literal["adam", "adagrad"] = "adam"
    """How row-sparse embedding tables learn; see `rowwise`."""
    schedule: ScheduleConfig = ConstantConfig(kind="constant")
    subnets: dict[str, SubnetConfig] = Field(default_factory=dict)
