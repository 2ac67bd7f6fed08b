"""Building the network."""

from collections.abc import Sequence

from trunkline.assembly.balance import build_fork
from trunkline.config import (
    Config,
    NetworkConfig,
)
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.inputs import Inputs
from trunkline.nn.interaction import INTERACTIONS
from trunkline.nn.mlp import Layers
from trunkline.nn.numeric_embedding import NUMBERS
from trunkline.nn.per_task_embedding import PerTaskEmbedding
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tasks import Task
from trunkline.towers import Towers


def build_network(config: Config, tasks: Sequence[Task], inputs: Inputs) -> Network:
    """The network for encoded rows.

    Raises:
        UserError: what its parts refuse.
    """
    c = config.network
    layers = Layers(dropout=c.dropout, norm=c.norm, activation=c.activation, residual=c.residual)
    first = build_embedding(c, inputs)
    places = dict(zip(inputs.names, first.feature_slices(), strict=True)) if inputs.names else {}
    embedding: Embedding | PerTaskEmbedding = first
    if ARCHITECTURES.find(c.sharing.kind).separate:
        embedding = PerTaskEmbedding(
            [first, *(build_embedding(c, inputs) for _ in tasks[1:])], [task.name for task in tasks]
        )
    try:
        sharing = ARCHITECTURES.make(
            c.sharing.kind,
            c.sharing.options,
            in_features=embedding.out_features,
            tasks=[task.name for task in tasks],
            features=places,
            layers=layers,
        )
    except UserError as error:
        raise UserError([f"network.sharing: {problem}" for problem in error.problems]) from None
    fork = build_fork(config.balance, tasks, parameters=sum(p.numel() for p in sharing.shared_parameters()))
    towers = Towers(tasks, sharing.out_features, c.towers.hidden, layers)
    return Network(embedding, sharing, fork, towers, at=config.balance.at)


def build_embedding(config: NetworkConfig, inputs: Inputs) -> Embedding:
    """From encoded rows to features.

    Raises:
        UserError: what becomes of numbers, or how features meet, is refused.
    """
    numbers, interaction = config.numbers, config.interaction
    try:
        return Embedding(
            inputs.rows,
            inputs.widths,
            inputs.numbers,
            lists=inputs.lists,
            quantiles=inputs.quantiles,
            numeric=lambda grids: NUMBERS.make(numbers.kind, numbers.options, quantiles=grids),
            interaction=lambda fields: INTERACTIONS.make(interaction.kind, interaction.options, fields=fields),
            sparse_above=config.embedding.sparse_above,
        )
    except UserError as error:
        raise UserError([f"network: {problem}" for problem in error.problems]) from None
