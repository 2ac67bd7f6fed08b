import pytest
import torch
from torch import nn
from torch.nn import functional

from trunkline.errors import UserError
from trunkline.nn.mlp import MLP, Layers


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("hidden", [[1], [3], [7, 2, 5]])
@pytest.mark.parametrize("norm", ["none", "layer"])
def test_shapes(n, hidden, norm):
    mlp = MLP(4, hidden, Layers(norm=norm))
    assert mlp(torch.ones(n, 4)).shape == (n, hidden[-1])
    assert mlp.out_features == hidden[-1]


def test_no_hidden_layer_is_the_identity():
    mlp, x = (
        MLP(4, [], Layers(dropout=0.5, norm="batch")),
        torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
    )
    assert torch.equal(mlp(x), x)
    assert mlp.out_features == 4
    assert not list(mlp.parameters())


def test_layers_are_linear_norm_relu_dropout():
    mlp, x = MLP(4, [6, 3], Layers(norm="layer", dropout=0.3)), torch.linspace(-2, 2, 8).view(2, 4)
    first, first_norm, second, second_norm = [m for m in mlp.modules() if isinstance(m, nn.Linear | nn.LayerNorm)]
    expected = x
    for linear, norm in ((first, first_norm), (second, second_norm)):
        expected = functional.relu(
            functional.layer_norm(expected @ linear.weight.T + linear.bias, norm.normalized_shape)
        )
    torch.testing.assert_close(mlp.eval()(x), expected)


def test_batch_norm_normalises_over_the_batch():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mlp = MLP(4, [6], Layers(norm="batch"))
        out = mlp(torch.randn(256, 4) * 50 + 7)
    # The positive part of a standard normal has mean 1/sqrt(2π).
    torch.testing.assert_close(out.mean(), torch.tensor(0.3989), atol=0.05, rtol=0)
    assert mlp.eval()(torch.ones(1, 4)).shape == (1, 6)


def test_dropout_acts_in_training_only():
    x = torch.ones(1, 4)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mlp = MLP(4, [200], Layers(dropout=0.5))
        kept = mlp.eval()(x)
        dropped = mlp.train()(x)
    alive = kept > 0
    share = (dropped[alive] == 0).float().mean()
    assert 0.3 < share < 0.7
    on = dropped != 0
    torch.testing.assert_close(dropped[on], 2 * kept[on])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_features": 0, "hidden": [3]}, "each must be at least 1"),
        ({"in_features": 4, "hidden": [3, 0]}, r"widths \[4, 3, 0\]: each must be at least 1"),
        ({"dropout": 1.0}, r"dropout 1.0: it must be in \[0, 1\)"),
        ({"dropout": -0.1}, "dropout -0.1"),
        ({"dropout": float("nan")}, "dropout nan"),
        ({"norm": "group"}, "norm 'group': it is one of none, batch, layer"),
        ({"activation": "step"}, "activation 'step': it is one of relu, leaky_relu, gelu"),
    ],
)
def test_impossible_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        MLP(**arguments) if "hidden" in arguments else Layers(**arguments)
