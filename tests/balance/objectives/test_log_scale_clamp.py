import pytest
import torch

from trunkline.balance.objectives.log_scale_clamp import LIMIT, clamp


@pytest.mark.parametrize("s", [-25.0, -10.0, -3.0, 0.0, 10.0, 25.0])
@pytest.mark.parametrize("slope", [-2.0, 2.0])
def test_a_gradient_passes_inside_and_wherever_descent_leads_back(s, slope):
    leaf = torch.tensor([s], requires_grad=True)
    (slope * clamp(leaf)).sum().backward()
    outward = (s >= LIMIT and slope < 0) or (s <= -LIMIT and slope > 0)
    assert leaf.grad.tolist() == [0.0 if outward else slope]
    assert clamp(leaf).tolist() == [max(-LIMIT, min(LIMIT, s))]
