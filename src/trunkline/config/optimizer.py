"""`optimizer`: the optimiser, and each subnet's own learning rate."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from trunkline.config.section import Rate, Section, kind_alone


class ConstantConfig(Section):
    """The same rate at every step."""

    kind: Literal["constant"]


class WarmupCosineConfig(Section):
    """A linear rise, then half a cosine down."""

    kind: Literal["warmup_cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps in which the rate rises."""
    final: Annotated[float, Field(ge=0, le=1)] = 0.0
    """What the rate falls to, as a share of it."""


ScheduleConfig = Annotated[
    Annotated[ConstantConfig | WarmupCosineConfig, Field(discriminator="kind")], BeforeValidator(kind_alone)
]


class SubnetConfig(Section):
    """What one subnet learns with."""

    lr: Rate | None = None
    """Learning rate; 0 freezes the subnet."""
    weight_decay: Rate | None = None
    """As the optimiser understands it."""
    schedule: ScheduleConfig | None = None
    """How the rate moves."""


class OptimizerConfig(Section):
    """The optimiser, and each subnet's own rate."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    """The optimiser of dense parameters."""
    lr: Rate = 0.001
    """Learning rate of every subnet that has none of its own."""
    weight_decay: Rate = 0.0
    """As the optimiser understands it; balancers have none unless told."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd; the others have none."""
    sparse_optimizer: Literal["adam", "adagrad"] = "adam"
    """How row-sparse embedding tables learn."""
    schedule: ScheduleConfig = ConstantConfig(kind="constant")
    """How rates move over the steps."""
    subnets: dict[str, SubnetConfig] = Field(default_factory=dict)
    """What differs, by subnet or pattern: shared, tower.buy, tower.*, embedding, balance."""

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, values: Any) -> Any:
        """`rows` is what version 0.1 called `sparse_optimizer`."""
        if not isinstance(values, dict) or "rows" not in values:
            return values
        if "sparse_optimizer" in values:
            raise ValueError("rows is the old name of sparse_optimizer; give one of them")
        return {("sparse_optimizer" if key == "rows" else key): value for key, value in values.items()}
