"""Multilayer perceptrons, as trunks and towers use them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, final, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.errors import UserError

Norm = Literal["none", "batch", "layer"]
Activation = Literal["relu", "leaky_relu", "gelu", "silu", "elu", "tanh"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
}
"""Activations by name."""


@final
@dataclass(frozen=True, kw_only=True)
class Layers:
    """Layer options of a perceptron, beside the widths: activation, normalisation, dropout.

    Attributes:
        dropout: share of units dropped after each layer, in [0, 1).
        norm: `"none"`, `"batch"` or `"layer"` normalisation before each activation.
        activation: `"relu"`, `"leaky_relu"`, `"gelu"`, `"silu"`, `"elu"` or `"tanh"`.
        residual: whether a layer as wide as what it reads adds its input to its output.

    Raises:
        UserError: a dropout outside [0, 1), an unknown norm or activation.
    """

    dropout: float = 0.0
    norm: Norm = "none"
    activation: Activation = "relu"
    residual: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise UserError(f"dropout {self.dropout}: it must be in [0, 1)")
        if self.norm not in get_args(Norm):
            raise UserError(f"norm {self.norm!r}: it is one of {', '.join(get_args(Norm))}")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"activation {self.activation!r}: it is one of {', '.join(ACTIVATIONS)}")

    def end(self) -> list[nn.Module]:
        """What follows a layer's normalisation: activation and, if there is any, dropout."""
        activation = ACTIVATIONS[self.activation]()
        return [activation, nn.Dropout(self.dropout)] if self.dropout else [activation]


@final
class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of one row as in evaluation, since one row has no spread."""

    def forward(self, x: Tensor) -> Tensor:
        """`[N, features]` -> `[N, features]`."""
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def check_widths(in_features: int, hidden: Sequence[int]) -> None:
    """Refuse widths that no layer can have.

    Raises:
        UserError: a width below 1.
    """
    if in_features < 1 or any(width < 1 for width in hidden):
        raise UserError(f"widths {[in_features, *hidden]}: each must be at least 1")


@final
class Residual(nn.Module):
    """A layer that adds its input to its output.

    Args:
        layer: from and to the same width.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """`[N, width]`, or `[N, width]` to `[N, E, width]`."""
        out: Tensor = self.layer(x)
        return out + (x if x.dim() == out.dim() else x.unsqueeze(1))


@final
class MLP(nn.Module):
    """Linear -> normalisation -> activation -> dropout, once for each hidden width.

    Args:
        in_features: width of the input.
        hidden: widths of the layers; empty for the identity.
        layers: what they are made of; plain ReLU layers by default.

    Shape:
        - Input: `[N, in_features]`.
        - Output: `[N, out_features]`, the last hidden width.

    Raises:
        UserError: a width below 1.
    """

    def __init__(self, in_features: int, hidden: Sequence[int], layers: Layers | None = None) -> None:
        super().__init__()
        check_widths(in_features, hidden)
        made = layers or Layers()
        blocks: list[nn.Module] = []
        width = in_features
        for following in hidden:
            block: list[nn.Module] = [nn.Linear(width, following)]
            if made.norm == "batch":
                block.append(BatchNorm(following))
            elif made.norm == "layer":
                block.append(nn.LayerNorm(following))
            block += made.end()
            blocks += [Residual(nn.Sequential(*block))] if made.residual and width == following else block
            width = following
        self.layers = nn.Sequential(*blocks)
        self.out_features = width

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_features]` -> `[N, out_features]`."""
        out: Tensor = self.layers(x)
        return out
