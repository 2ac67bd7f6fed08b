"""The contract of sharing architectures."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trunkline.balance.fork import Fork
from trunkline.balance.gradients.equal import Equal
from trunkline.sharing.base import Sharing

Build = Callable[[int, Sequence[str]], Sharing]
WIDTH = 6


def check_architecture(build: Build) -> None:
    """Hold a sharing architecture to its contract.

    Args:
        build: from the width of the features and the tasks' names to a fresh architecture with smooth activations.

    Raises:
        AssertionError: a property that does not hold.
    """
    for count in (1, 2, 4):
        names = [f"t{i}" for i in range(count)]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            width = WIDTH * count if build(WIDTH * count, names).separate else WIDTH
            sharing = build(width, names).double().eval()
        _gives_each_task_its_features(sharing, count)
        _owns_every_parameter_once(sharing)
        _keeps_the_tasks_apart_behind_the_fork(sharing, count)
        _is_the_same_under_a_fork(sharing, count)
        _tells_its_gates(sharing)


def rows(sharing: Sharing, count: int) -> tuple[Tensor, Tensor]:
    """Features `[N, in_features]` and ids `[N, 2]`, of which each is 0 or 1."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, sharing.in_features, generator=generator, dtype=torch.float64)
    return x, torch.arange(2 * count).view(count, 2) % 2


def _gives_each_task_its_features(sharing: Sharing, tasks: int) -> None:
    for count in (1, 5):
        x, ids = rows(sharing, count)
        outputs = sharing(x, Fork(tasks).split, ids)
        assert len(outputs) == tasks, f"{len(outputs)} outputs for {tasks} tasks"
        for output in outputs:
            wanted = (count, sharing.out_features)
            assert output.shape == wanted, f"an output of shape {tuple(output.shape)}, not {wanted}"


def _owns_every_parameter_once(sharing: Sharing) -> None:
    owned = [id(p) for parameters in sharing.parameters_by_subnet().values() for p in parameters]
    every = {id(p) for p in sharing.parameters()}
    assert len(owned) == len(set(owned)), "parameters_by_subnet names a parameter twice"
    assert set(owned) == every, f"parameters_by_subnet names {len(owned)} of {len(every)} parameters"
    assert {id(p) for p in sharing.shared_parameters()} <= every, "shared_parameters names what is no parameter here"


def _keeps_the_tasks_apart_behind_the_fork(sharing: Sharing, tasks: int) -> None:
    x, ids = rows(sharing, 5)
    cut = [tensor.detach() for tensor in sharing.shared(x, ids)]
    copies = [[tensor.clone().requires_grad_() for tensor in cut] for _ in range(tasks)]
    outputs = sharing.per_task(copies)
    leaves = [tensor for copy in copies for tensor in copy]
    for t, output in enumerate(outputs):
        weights = torch.arange(1.0, 1 + output.numel(), dtype=output.dtype).view_as(output)
        found = torch.autograd.grad((weights * output).sum(), leaves, retain_graph=True, allow_unused=True)
        reached = {k // len(cut) for k, gradient in enumerate(found) if gradient is not None and bool(gradient.any())}
        assert reached == {t}, f"task {t}'s features depend on the copies of tasks {sorted(reached)}, not its own alone"


def _is_the_same_under_a_fork(sharing: Sharing, tasks: int) -> None:
    x, ids = rows(sharing, 5)
    plain, forked = sharing(x, Fork(tasks).split, ids), sharing(x, Fork(tasks, Equal()).split, ids)
    for one, other in zip(plain, forked, strict=True):
        # Computed as one or task by task: sums in another order, over at most a few hundred terms.
        near = torch.allclose(one, other, rtol=1e-10, atol=1e-10)
        assert near, "a fork that balances changes the forward pass"


def _tells_its_gates(sharing: Sharing) -> None:
    for gate, shares in sharing.gates(*rows(sharing, 5)).items():
        for expert, share in shares.items():
            assert share.shape == (5,), f"gate {gate}: the share of {expert} has shape {tuple(share.shape)}, not [5]"
