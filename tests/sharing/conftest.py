import pytest
import torch
from torch import Tensor

from trunkline.sharing.experts import Experts, StackedLinear


@pytest.fixture(scope="session")
def one_expert():
    def one_expert(experts: Experts, e: int, x: Tensor) -> Tensor:
        """Expert e alone, plain ReLU layers of nothing but products: `[N, in_features]` -> `[N, out_features]`."""
        for layer in experts.layers:
            if isinstance(layer, StackedLinear):
                x = torch.stack([layer.weight[e] @ row + layer.bias[e] for row in x]).clamp_min(0)
        return x

    return one_expert
