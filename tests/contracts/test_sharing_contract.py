"""What every sharing architecture must satisfy. A new one joins with one line in `ARCHITECTURES`."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from trunkline.balance import Equal, GramianBalancer
from trunkline.errors import UserError
from trunkline.fork import Fork
from trunkline.sharing import MMoE, SharedBottom, Sharing
from trunkline.subnets import Subnets

WIDTH = 5


def names(tasks: int) -> list[str]:
    return [f"t{i}" for i in range(tasks)]


ARCHITECTURES: dict[str, Callable[[int], Sharing]] = {  # from the number of tasks
    "shared_bottom": lambda tasks: SharedBottom(WIDTH, [7, 4]),
    "shared_bottom, one layer": lambda tasks: SharedBottom(WIDTH, [3]),
    "shared_bottom, normalised": lambda tasks: SharedBottom(WIDTH, [7, 4], norm="layer", dropout=0.1),
    "mmoe": lambda tasks: MMoE(WIDTH, names(tasks), experts=3, hidden=[7, 4]),
    "mmoe, one layer": lambda tasks: MMoE(WIDTH, names(tasks), experts=2, hidden=[3]),
    "mmoe, normalised": lambda tasks: MMoE(WIDTH, names(tasks), experts=3, hidden=[7, 4], norm="layer", dropout=0.1),
}
OWN_NOTHING = {name for name in ARCHITECTURES if name.startswith("shared_bottom")}
"""Every task reads the same, so the order of the tasks does not matter at all."""

each_architecture = pytest.mark.parametrize("build", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
each_size = pytest.mark.parametrize(("tasks", "n"), [(1, 1), (1, 6), (2, 1), (3, 6), (17, 6)])


def made(build: Callable[[int], Sharing], tasks: int) -> Sharing:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build(tasks).eval()


def features(n: int) -> Tensor:
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(1))


@each_architecture
@each_size
def test_every_task_gets_a_tensor_of_the_width_announced(build, tasks, n):
    sharing = made(build, tasks)
    branches = sharing(features(n), Fork(tasks, Equal()).split)
    assert len(branches) == tasks
    assert all(branch.shape == (n, sharing.out_features) for branch in branches)
    assert all(branch.isfinite().all() for branch in branches)


@each_architecture
@each_size
def test_every_parameter_has_one_owner_and_is_reached_by_a_gradient(build, tasks, n):
    sharing = made(build, tasks).train()
    owners = Subnets([sharing], sharing.owners())  # refuses what is not a partition
    assert set(owners) <= {"shared", *(f"gate.{name}" for name in names(tasks))}
    features_in = features(64).requires_grad_()
    sum(branch.square().sum() for branch in sharing(features_in, Fork(tasks, Equal()).split)).backward()
    for name, parameters in owners.items():
        for parameter in parameters:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    assert features_in.grad.abs().sum() > 0


@each_architecture
def test_each_row_stands_for_itself(build):
    sharing, x = made(build, 3), features(6)
    whole = sharing(x, Fork(3, Equal()).split)
    for i in range(6):
        for branch, row in zip(whole, sharing(x[i : i + 1], Fork(3, Equal()).split), strict=True):
            torch.testing.assert_close(branch[i : i + 1], row)


@each_architecture
def test_one_tasks_loss_alone_trains_what_is_shared(build):
    sharing = made(build, 3)
    for task in range(3):
        sharing.zero_grad()
        sharing(features(32), Fork(3, Equal()).split)[task].square().sum().backward()
        assert any(parameter.grad.abs().sum() > 0 for parameter in sharing.owners()["shared"])


@each_architecture
def test_the_fork_hands_the_balancers_weights_to_everything_shared(build):
    """Counting every task twice doubles the gradient of what is shared."""

    class Twice(GramianBalancer):
        def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
            return torch.full((len(gramian),), 2.0, dtype=gramian.dtype)

    gradients = []
    for balancer in (Equal(), Twice(rescale=False)):
        sharing = made(build, 3)
        sum(branch.square().sum() for branch in sharing(features(8), Fork(3, balancer).split)).backward()
        gradients.append([parameter.grad for parameter in sharing.owners()["shared"]])
    torch.testing.assert_close(gradients[1], [2 * gradient for gradient in gradients[0]])


@pytest.mark.parametrize("name", sorted(OWN_NOTHING))
def test_permuting_the_tasks_permutes_the_branches(name):
    sharing, order = made(ARCHITECTURES[name], 3), [2, 0, 1]
    scales = torch.tensor([1.0, -2.0, 0.5])
    gradients, outputs = [], []
    for at in ([0, 1, 2], order):
        sharing.zero_grad()
        branches = sharing(features(8), Fork(3, Equal()).split)
        sum(scale * branch.square().sum() for scale, branch in zip(scales[at], branches, strict=True)).backward()
        outputs.append([branch.detach() for branch in branches])
        gradients.append([parameter.grad for parameter in sharing.parameters()])
    assert all(torch.equal(outputs[1][i], outputs[0][task]) for i, task in enumerate(order))
    torch.testing.assert_close(*gradients)


@each_architecture
def test_the_state_makes_a_copy(build):
    one = made(build, 2)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        other = build(2).eval()
    other.load_state_dict(one.state_dict())
    for a, b in zip(one(features(4), Fork(2).split), other(features(4), Fork(2).split), strict=True):
        assert torch.equal(a, b)


def test_impossible_widths_are_refused():
    with pytest.raises(UserError, match="each must be at least 1"):
        SharedBottom(WIDTH, [4, 0])
