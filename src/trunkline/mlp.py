"""A multilayer perceptron, as trunks and towers use it."""

from collections.abc import Sequence
from typing import Literal, final, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.errors import UserError

Norm = Literal["none", "batch", "layer"]


@final
class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation that takes a batch of one row as in evaluation, since one row has no spread."""

    def forward(self, x: Tensor) -> Tensor:
        """`[N, features]` -> `[N, features]`."""
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


def check_layers(in_features: int, hidden: Sequence[int], dropout: float, norm: str) -> None:
    """Refuse what no multilayer perceptron can be made of.

    Args:
        in_features: as in `MLP`.
        hidden: as in `MLP`.
        dropout: as in `MLP`.
        norm: as in `MLP`.

    Raises:
        UserError: a width below 1, a dropout outside [0, 1) or an unknown norm.
    """
    if in_features < 1 or any(width < 1 for width in hidden):
        raise UserError(f"widths {[in_features, *hidden]}: each must be at least 1")
    if not 0 <= dropout < 1:
        raise UserError(f"dropout {dropout}: it must be in [0, 1)")
    if norm not in get_args(Norm):
        raise UserError(f"norm {norm!r}: it is one of {', '.join(get_args(Norm))}")


class MLP(nn.Module):
    """Linear -> normalisation -> ReLU -> dropout, once for each hidden width.

    Args:
        in_features: width of the input.
        hidden: widths of the layers; empty for the identity.
        dropout: share of units dropped after each layer, in [0, 1).
        norm: `"none"`, `"batch"` or `"layer"` normalisation before each ReLU.

    Shape:
        - Input: `[N, in_features]`.
        - Output: `[N, out_features]`, the last hidden width.

    Raises:
        UserError: a width below 1, a dropout outside [0, 1) or an unknown norm.
    """

    def __init__(self, in_features: int, hidden: Sequence[int], *, dropout: float = 0.0, norm: Norm = "none") -> None:
        super().__init__()
        check_layers(in_features, hidden, dropout, norm)
        layers: list[nn.Module] = []
        width = in_features
        for following in hidden:
            layers.append(nn.Linear(width, following))
            if norm == "batch":
                layers.append(BatchNorm(following))
            elif norm == "layer":
                layers.append(nn.LayerNorm(following))
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = following
        self.layers = nn.Sequential(*layers)
        self.out_features = width

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_features]` -> `[N, out_features]`."""
        out: Tensor = self.layers(x)
        return out
