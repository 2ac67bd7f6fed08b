"""`network`: the network's shape."""

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from trunkline.config.section import Chosen, Positive, Section, chosen
from trunkline.nn.interaction import INTERACTIONS
from trunkline.nn.mlp import Activation, Norm
from trunkline.nn.numeric_embedding import NUMBERS
from trunkline.sharing.architectures import ARCHITECTURES

Sharing = Annotated[Chosen, BeforeValidator(chosen(ARCHITECTURES.options, default="shared_bottom"))]
Numbers = Annotated[Chosen, BeforeValidator(chosen(NUMBERS.options))]
Interaction = Annotated[Chosen, BeforeValidator(chosen(INTERACTIONS.options))]


class TowersConfig(Section):
    """The tasks' own subnets."""

    hidden: list[Positive] = Field(default=[64])
    """Widths of each tower's hidden layers."""


class EmbeddingConfig(Section):
    """Tables of categorical features."""

    sparse_above: Annotated[int, Field(ge=0)] | None = 10_000
    """Features with more rows than this are row-sparse; null for none, 0 for all."""


class NetworkConfig(Section):
    """The network's shape."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    embedding: EmbeddingConfig = EmbeddingConfig()
    """Tables of categorical features."""
    numbers: Numbers = Chosen(kind="plain")
    """What becomes of numeric features."""
    interaction: Interaction = Chosen(kind="none")
    """Products of features."""
    sharing: Sharing = Chosen(kind="shared_bottom")
    """What the tasks share."""
    towers: TowersConfig = TowersConfig()
    """The tasks' own subnets."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of units dropped after each hidden layer."""
    norm: Norm = "none"
    """Normalisation before each activation."""
    activation: Activation = "relu"
    """Of every hidden layer."""
    residual: bool = False
    """Whether a layer as wide as what it reads adds its input to its output."""
