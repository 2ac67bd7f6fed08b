import pytest
import torch

from trunkline.balance.objectives.lower_bound import check_lower_bound
from trunkline.errors import UserError


def test_every_loss_below_its_floor_is_named():
    losses, active = torch.tensor([-1.0, 2.0, -3.0, -4.0]), torch.tensor([True, True, False, True])
    with pytest.raises(UserError, match=r"geometric needs the loss of task number 0 .* 0 or more, it is -1;") as error:
        check_lower_bound(losses, active, 0.0, method="geometric")
    assert len(error.value.problems) == 2
    assert "task number 3" in error.value.problems[1]
    with pytest.raises(UserError, match=r"number 1 .* to be 2.5 or more, it is 2;"):
        check_lower_bound(losses, active, torch.tensor([-5.0, 2.5, 0.0, -5.0]), method="famo")


def test_losses_at_their_floor_and_losses_that_are_no_numbers_pass():
    losses = torch.tensor([0.0, torch.nan, torch.inf])
    check_lower_bound(losses, torch.ones(3, dtype=torch.bool), 0.0, method="geometric")
