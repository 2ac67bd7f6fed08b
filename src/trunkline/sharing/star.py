"""STAR: a trunk for each domain around a shared one."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline.errors import UserError
from trunkline.nn.inputs import FeatureSlice
from trunkline.nn.mlp import BatchNorm, Layers
from trunkline.sharing.base import Gates, Sharing
from trunkline.sharing.feature_slice import feature_slice
from trunkline.sharing.trunk import check_trunk


@final
class STAR(Sharing):
    """One trunk whose weights each domain scales in its own way (Sheng et al. 2021, 2101.11427).

    A row of domain d (a page, a country, a device) passes layers x ↦ φ((W ⊙ W_d) x + b + b_d), where W and b are shared
    and W_d and b_d are its domain's, at first 1 and 0. All tasks read the last one's output.

    The ids of a categorical feature say which domain a row is of; missing and unseen values are domains too. A domain
    that training has not seen stays the shared trunk. Rows are grouped by domain, so that a pass costs that of one
    trunk, and a product of W with W_d for each domain in the batch. Under `torch.compile` and `torch.export`, where the
    groups' sizes cannot be known, every row passes all domains' weights and takes its own result.

    The trunk forks at its output.

    NOTE[DIFF]: W_d is kept as its difference from 1, so that weight decay draws a domain to the shared trunk and not
    to nothing. Partitioned normalisation (under `norm: batch`, before each activation) has a scale and a shift
    for each domain, (γ ⊙ γ_d) x̂ + β + β_d, but statistics over all rows: a batch here holds rows of all domains, few
    of a rare one and none of one unseen, and by γ_d and β_d a domain can make up for statistics of its own. The
    auxiliary network is left out: the domain's vector is among the features.

    Args:
        in_features: width of the features.
        features: the categorical features.
        domain: name of the one that says which domain a row is of.
        hidden: widths of the layers.
        layers: what they are made of.

    Shape:
        - Input: `[N, in_features]`, ids `[N, C]`.
        - Output: T tensors `[N, hidden[-1]]`.

    Raises:
        UserError: a domain that is no categorical feature; no layer, and what `MLP` refuses; ids without the domain's
            column.

    Examples:
        >>> sharing = STAR(5, {"page": FeatureSlice(0, 4, 0, 2)}, domain="page", hidden=[16, 8])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split, torch.tensor([[2], [3], [2]]))
    """

    uses_features: ClassVar[tuple[str, ...]] = ("domain",)

    def __init__(
        self,
        in_features: int,
        features: Mapping[str, FeatureSlice],
        *,
        domain: str,
        hidden: Sequence[int] = (256, 128),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.place = feature_slice(features, domain, "domain")
        check_trunk(in_features, hidden)
        made = layers or Layers()
        self.trunk = nn.ModuleList(
            _Layer(width, following, self.place.rows, made) for width, following in pairwise([in_features, *hidden])
        )
        self.in_features = in_features
        self.out_features = hidden[-1]

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The trunk's output `[N, out_features]`."""
        if ids.shape[1] <= self.place.column:
            raise UserError(
                f"ids {list(ids.shape)}: the domain is in column {self.place.column}; give it the rows' ids"
            )
        domains = ids[:, self.place.column].long()
        if torch.compiler.is_compiling() or not len(x):
            return (self._run(x, _Rows(domains, None)),)
        order = domains.argsort()
        counts = torch.bincount(domains, minlength=self.place.rows).tolist()
        rows = _Rows(domains[order], {domain: count for domain, count in enumerate(counts) if count})
        return (self._run(x.index_select(0, order), rows).index_select(0, order.argsort()),)

    def _run(self, x: Tensor, rows: "_Rows") -> Tensor:
        for layer in self.trunk:
            x = layer(x, rows)
        return x

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's copy as it is."""
        return tuple(copy for (copy,) in copies)

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Everything is shared; what scales it for each domain is a subnet of its own."""
        domain = [parameter for layer in self.trunk for parameter in layer.get_submodule("domain").parameters()]
        own = {id(parameter) for parameter in domain}
        return {"shared": [p for p in self.trunk.parameters() if id(p) not in own], "domain": domain}

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """Everything."""
        return list(self.trunk.parameters())

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """None."""
        return {}


class _Rows(NamedTuple):
    """The rows' domains `[N]`; where rows are sorted by domain, how many there are of each."""

    domains: Tensor
    counts: dict[int, int] | None


class _Layer(nn.Module):
    """One layer: `[N, in_features]` and the rows' domains -> `[N, out_features]`."""

    def __init__(self, in_features: int, out_features: int, domains: int, layers: Layers) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.domain = nn.ParameterDict(
            {"weight": torch.zeros(domains, out_features, in_features), "bias": torch.zeros(domains, out_features)}
        )
        self.norm: nn.Module | None = nn.LayerNorm(out_features) if layers.norm == "layer" else None
        if layers.norm == "batch":
            self.norm = BatchNorm(out_features, affine=False)
            self.scale = nn.Parameter(torch.ones(out_features))
            self.shift = nn.Parameter(torch.zeros(out_features))
            self.domain["scale"] = torch.zeros(domains, out_features)
            self.domain["shift"] = torch.zeros(domains, out_features)
        self.end = nn.Sequential(*layers.end())
        self.residual = layers.residual and in_features == out_features

    def forward(self, x: Tensor, rows: _Rows) -> Tensor:
        out: Tensor = self._all(x, rows.domains) if rows.counts is None else self._grouped(x, rows.counts)
        if self.norm is not None:
            out = self.norm(out)
        if "scale" in self.domain:
            scale = torch.addcmul(self.scale, self.scale, self.domain["scale"])
            out = out * F.embedding(rows.domains, scale) + F.embedding(rows.domains, self.shift + self.domain["shift"])
        out = self.end(out)
        return out + x if self.residual else out

    def _grouped(self, x: Tensor, counts: dict[int, int]) -> Tensor:
        """Rows sorted by domain, each group by its own weights."""
        weight, bias = self.linear.weight, self.linear.bias
        # Unbound once: to select each domain's part would give as many gradients of the whole size.
        weights, biases = self.domain["weight"].unbind(), self.domain["bias"].unbind()
        outputs = [
            F.linear(part, torch.addcmul(weight, weight, weights[domain]), bias + biases[domain])
            for domain, part in zip(counts, torch.split(x, list(counts.values())), strict=True)
        ]
        return torch.cat(outputs)

    def _all(self, x: Tensor, domains: Tensor) -> Tensor:
        """Rows in any order: all domains' outputs `[N, D, out_features]`, of which each row takes its own."""
        weight, bias = self.linear.weight, self.linear.bias
        weights = torch.addcmul(weight, weight, self.domain["weight"])
        wide = F.linear(x, weights.flatten(0, 1), (bias + self.domain["bias"]).flatten()).view(-1, *weights.shape[:2])
        return wide.gather(1, domains[:, None, None].expand(-1, 1, wide.shape[2])).squeeze(1)
