"""The feature columns."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from trunkline.config.section import Positive, Section, kind_alone
from trunkline.tables.schema import DIM, LENGTH, MOST_ROWS

Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]


class CategoricalConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["categorical"]
    dim: Positive = DIM
    """Width of the embedding."""
    min_count: Positive = 1
    """Values seen less often in the training rows count as unseen."""


class HashedConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["hashed"]
    rows: Rows
    """How many vectors the values are spread over."""
    dim: Positive = DIM
    """Width of the embedding."""


class BagConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["bag"]
    pool: Literal["mean", "sum"] = "mean"
    """How the elements become one vector."""
    dim: Positive = DIM
    """Width of the embedding."""
    min_count: Positive = 1
    """Elements seen less often in the training rows count as unseen."""
    rows: Rows | None = None
    """Hash the elements over so many vectors, instead of a vocabulary."""


class SequenceConfig(Section):
    """See `tables.Feature`; with a target, `dim`, `rows` and `min_count` are the target's."""

    kind: Literal["sequence"]
    length: Positive = LENGTH
    """How many of the last elements are kept."""
    pool: Literal["mean", "attention"] = "mean"
    """How they become one vector; attention weighs them by the target."""
    target: str | None = None
    """The categorical or hashed feature whose values the elements are."""
    dim: Positive | None = None
    """Width of the embedding; the target's, if there is one."""
    min_count: Positive | None = None
    """Elements seen less often count as unseen."""
    rows: Rows | None = None
    """Hash the elements over so many vectors, instead of a vocabulary."""

    @model_validator(mode="before")
    @classmethod
    def _own_table(cls, values: Any) -> Any:
        """Without a target the defaults are a bag's."""
        if not isinstance(values, dict) or values.get("target") is not None:
            return values
        own = {"dim": DIM, "min_count": 1}
        return values | {name: default for name, default in own.items() if values.get(name) is None}


class NumericConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["numeric"]
    log: bool = False
    """Take sign(x)·log(1+|x|) before standardising: for amounts with a long tail."""


class VectorConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["vector"]
    length: Positive | None = None
    """Numbers in each list; learnt from the training rows unless given."""


class BooleanConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["boolean"]


class DatetimeConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["datetime"]


FeatureConfig = Annotated[
    Annotated[
        CategoricalConfig
        | HashedConfig
        | BagConfig
        | SequenceConfig
        | NumericConfig
        | VectorConfig
        | BooleanConfig
        | DatetimeConfig,
        Field(discriminator="kind"),
    ],
    BeforeValidator(kind_alone),
]
