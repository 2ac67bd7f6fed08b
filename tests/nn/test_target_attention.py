"""TargetAttention weights over ragged lists, against a loop over the lists."""

from itertools import pairwise

import pytest
import torch

from trunkline.nn.target_attention import TargetAttention

WIDTH = 3
LENGTHS = {"several": [2, 0, 4, 1], "one row": [3], "nothing": [0, 0], "one of one": [1]}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS.keys())
def test_weights_are_a_softmax_over_each_list(lengths):
    torch.manual_seed(0)
    attention = TargetAttention(WIDTH).double()
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    vectors = torch.randn(sum(lengths), WIDTH, dtype=torch.float64)
    target = torch.randn(len(lengths), WIDTH, dtype=torch.float64)
    weights = attention(vectors, offsets, target)
    assert weights.shape == (sum(lengths),)
    for n, (start, end) in enumerate(pairwise(offsets.tolist())):
        if end > start:
            keys, query = vectors[start:end], target[n].expand(end - start, WIDTH)
            score = attention.unit(torch.cat([keys, query, query - keys, query * keys], 1)).squeeze(1)
            assert torch.allclose(weights[start:end], score.softmax(0), rtol=0, atol=1e-12)


def test_large_scores_stay_finite():
    attention = TargetAttention(WIDTH)
    with torch.no_grad():
        attention.unit[2].weight.mul_(1e6)
    vectors = torch.randn(5, WIDTH, requires_grad=True)
    weights = attention(vectors, torch.tensor([0, 2, 5]), torch.randn(2, WIDTH))
    weights.square().sum().backward()
    assert weights.isfinite().all()
    assert vectors.grad.isfinite().all()
    assert weights[:2].sum().item() == pytest.approx(1.0)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(1)
    attention = TargetAttention(WIDTH).double()
    offsets = torch.tensor([0, 2, 2, 5])
    vectors = torch.randn(5, WIDTH, dtype=torch.float64, requires_grad=True)
    target = torch.randn(3, WIDTH, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v, t: attention(v, offsets, t), (vectors, target))
