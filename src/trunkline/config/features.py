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
    min_count: Positive = 1


class HashedConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["hashed"]
    rows: Rows
    dim: Positive = DIM


class BagConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["bag"]
    pool: Literal["mean", "sum"] = "mean"
    dim: Positive = DIM
    min_count: Positive = 1
    rows: Rows | None = None


class SequenceConfig(Section):
    """See `tables.Feature`; with a target, `dim`, `rows` and `min_count` are the target's."""

    kind: Literal["sequence"]
    length: Positive = LENGTH
    pool: Literal["mean", "attention"] = "mean"
    target: str | None = None
    dim: Positive | None = None
    min_count: Positive | None = None
    rows: Rows | None = None

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


class VectorConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["vector"]
    length: Positive | None = None


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
