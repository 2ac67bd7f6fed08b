"""Experts: several multilayer perceptrons of one shape that read the same features, run as one."""

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.nn.mlp import ACTIVATIONS, BatchNorm, Layers, Residual, check_widths


@final
class StackedLinear(nn.Module):
    """E linear layers of one shape, each with weights of its own, as one product.

    Each starts as `nn.Linear` does, from the same draws in the same order.

    Args:
        in_features: width of what each reads.
        out_features: width of what each gives.
        count: E, how many there are.

    Shape:
        - Input: `[N, in_features]`, read by all, or `[N, E, in_features]`, each expert's own.
        - Output: `[N, E, out_features]`.
    """

    def __init__(self, in_features: int, out_features: int, count: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, out_features, in_features))
        self.bias = nn.Parameter(torch.empty(count, out_features))
        if not self.weight.is_meta:  # there is nothing to start, and a million experts would take their time
            for weight, bias in zip(self.weight.detach(), self.bias.detach(), strict=True):
                nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
                nn.init.uniform_(bias, -1 / math.sqrt(in_features), 1 / math.sqrt(in_features))

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_features]` or `[N, E, in_features]` -> `[N, E, out_features]`."""
        if x.dim() == 2:
            # One wide product: E narrow ones would each write a gradient of the input's size.
            wide = F.linear(x, self.weight.flatten(0, 1), self.bias.flatten())
            return wide.view(-1, *self.bias.shape)
        return torch.baddbmm(self.bias[:, None], x.transpose(0, 1), self.weight.transpose(1, 2)).transpose(0, 1)


ALONE = 1 << 17
"""Numbers in one expert's output of a layer from which on it pays to run it alone: on one thread, 2048 rows and experts
of 256-128, a training step took 0.82 of the time; with 256 rows and experts of 64-32 it took 1.4 of it."""


@final
class _LayerNorm(nn.GroupNorm):
    """Layer normalisation within each expert; a batch of one row with experts of one unit too."""

    def forward(self, x: Tensor) -> Tensor:
        """`[N, E * width]` -> the same."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


@final
class Experts(nn.Module):
    """E perceptrons of one shape, as `MLP` makes them.

    Each layer is one matrix product for all experts; on a CPU, where an expert's output of a layer is `ALONE` numbers
    or more, one expert after another runs through all its layers instead, its activations staying in the cache.
    Parameters lie side by side, an expert's own at its position.

    Args:
        in_features: width of the features, which all experts read.
        hidden: widths of each expert's layers.
        count: E, how many experts there are.
        layers: what their layers are made of; normalisation is within each expert.

    Shape:
        - Input: `[N, in_features]`.
        - Output: `[N, E, hidden[-1]]`, contiguous.

    Raises:
        UserError: no expert or no layer, and what `MLP` refuses.
    """

    def __init__(self, in_features: int, hidden: Sequence[int], count: int, *, layers: Layers | None = None) -> None:
        super().__init__()
        if count < 1:
            raise UserError(f"experts {count}: there must be at least 1")
        if not hidden:
            raise UserError("hidden []: an expert needs at least one layer")
        check_widths(in_features, hidden)
        made = layers or Layers()
        blocks: list[nn.Module] = []
        width = in_features
        for following in hidden:
            block: list[nn.Module] = [StackedLinear(width, following, count)]
            if made.norm != "none":
                # Each column of [N, E * width] belongs to one expert.
                wide = count * following
                block += [nn.Flatten(), BatchNorm(wide) if made.norm == "batch" else _LayerNorm(count, wide)]
                block.append(nn.Unflatten(1, (count, following)))
            block += made.end()
            blocks += [Residual(nn.Sequential(*block))] if made.residual and width == following else block
            width = following
        self.layers = nn.Sequential(*blocks)
        self.activation = nn.ReLU(inplace=True) if made.activation == "relu" else ACTIVATIONS[made.activation]()
        self.dropout = made.dropout
        self.separable = made.norm == "none" and not made.residual
        self.count = count
        self.widest = max(hidden)
        self.out_features = width

    def forward(self, x: Tensor) -> Tensor:
        """`[N, in_features]` -> `[N, E, out_features]`."""
        rows = x.shape[0]
        # A symbol, where the module is exported for batches of any size, is not held against a number.
        if self.separable and x.device.type == "cpu" and isinstance(rows, int) and rows * self.widest >= ALONE:
            return self._one_by_one(x)
        out: Tensor = self.layers(x)
        # Rows side by side: what mixes the experts row by row reads them once, and a fork flattens them for nothing.
        return out.contiguous()

    def _one_by_one(self, x: Tensor) -> Tensor:
        stacked = [layer for layer in self.layers if isinstance(layer, StackedLinear)]
        # Unbound once: to select each expert's part would give as many gradients of the whole size.
        layers = list(zip(*(zip(s.weight.unbind(), s.bias.unbind(), strict=True) for s in stacked), strict=True))
        outputs = []
        for expert in layers:
            out = x
            for weight, bias in expert:
                out = F.dropout(self.activation(F.linear(out, weight, bias)), self.dropout, self.training)
            outputs.append(out)
        return torch.stack(outputs, dim=1)
