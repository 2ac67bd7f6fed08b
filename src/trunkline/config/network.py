"""The network's shape."""

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
    """See `towers.Towers`."""

    hidden: list[Positive] = Field(default_factory=lambda: [64])


class EmbeddingConfig(Section):
    """See `embedding.Embedding`."""

    sparse_above: Annotated[int, Field(ge=0)] | None = 10_000


class NetworkConfig(Section):
    """The network's shape."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    embedding: EmbeddingConfig = EmbeddingConfig()
    numbers: Numbers = Chosen(kind="plain")
    interaction: Interaction = Chosen(kind="none")
    sharing: Sharing = Chosen(kind="shared_bottom")
    towers: TowersConfig = TowersConfig()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    norm: Norm = "none"
    activation: Activation = "relu"
    residual: bool = False
