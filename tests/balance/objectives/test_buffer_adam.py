import pytest
import torch

from trunkline.balance.objectives.buffer_adam import BufferAdam
from trunkline.errors import UserError


def test_steps_are_those_of_torchs_adam():
    generator, adam = torch.Generator().manual_seed(0), BufferAdam(3, lr=0.1)
    values, parameter = torch.zeros(3), torch.zeros(3, requires_grad=True)
    theirs = torch.optim.Adam([parameter], lr=0.1)
    for _ in range(200):
        parameter.grad = torch.randn(3, generator=generator) * torch.tensor([1e-3, 1.0, 1e3])
        values = adam(values, parameter.grad, torch.ones(3, dtype=torch.bool))
        theirs.step()
        torch.testing.assert_close(values, parameter.detach())


def test_a_number_that_takes_no_part_waits_where_it_is():
    adam, alone = BufferAdam(2, lr=0.1), BufferAdam(1, lr=0.1)
    values, one = torch.zeros(2), torch.zeros(1)
    for step in range(10):
        active = torch.tensor([True, step % 3 == 0])
        before = values[1].clone()
        values = adam(values, torch.tensor([1.0, 2.0 - step]), active)
        if active[1]:
            one = alone(one, torch.tensor([2.0 - step]), active[1:])
        else:
            assert values[1] == before
    assert values[1] == one[0]
    assert adam.updates.tolist() == [10, 4]


@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan")])
def test_a_rate_that_cannot_learn_is_refused(lr):
    with pytest.raises(UserError, match="it must be above 0"):
        BufferAdam(2, lr=lr)
