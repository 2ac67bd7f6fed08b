"""What every task kind must satisfy. A new kind joins with one line in `KINDS`."""

from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Normal

from trunkline.tasks import TASK_KINDS, Binary, Multiclass, Regression, Task, mean_loss, task_losses

Labels = Callable[[int, Generator], Tensor]
Likelihood = Callable[[Tensor], Distribution]


def coin(n: int, generator: Generator) -> Tensor:
    return torch.randint(0, 2, (n,), generator=generator).double()


def classes(count: int) -> Labels:
    return lambda n, generator: torch.randint(0, count, (n,), generator=generator).double()


def gaussian(center: float, scale: float) -> Labels:
    return lambda n, generator: center + scale * torch.randn(n, generator=generator, dtype=torch.float64)


KINDS = [  # an instance, its labels, and torch's own distribution of the label given the raw outputs
    (Binary(name="click"), coin, lambda raw: Bernoulli(logits=raw[:, 0])),
    (Multiclass(name="two", classes=2), classes(2), lambda raw: Categorical(logits=raw)),
    (Multiclass(name="many", classes=17), classes(17), lambda raw: Categorical(logits=raw)),
    (Regression(name="plain"), gaussian(0.0, 1.0), lambda raw: Normal(raw[:, 0], 1.0)),
    (
        Regression(name="dwell", center=40.0, scale=12.5),
        gaussian(40.0, 12.5),
        lambda raw: Normal(raw[:, 0] * 12.5 + 40.0, 12.5),
    ),
]

each_kind = pytest.mark.parametrize(("task", "labels"), [kind[:2] for kind in KINDS], ids=lambda v: _name(v))
each_likelihood = pytest.mark.parametrize(("task", "labels", "likelihood"), KINDS, ids=lambda v: _name(v))


def _name(value: object) -> str:
    return value.name if isinstance(value, Task) else ""


def rows(task: Task, labels: Labels, n: int, *, seed: int = 0, dtype: torch.dtype = torch.float64):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(n, task.outputs, generator=generator, dtype=torch.float64).to(dtype)
    return raw, labels(n, generator).to(torch.float32 if dtype.itemsize < 8 else dtype)


def loss_and_gradient(task: Task, raw: Tensor, label: Tensor, weight: Tensor | None = None):
    leaf = raw.clone().requires_grad_()
    loss, active = mean_loss(task, leaf, label, weight)
    return loss.detach(), active, torch.autograd.grad(loss, leaf)[0]


def test_every_kind_a_config_can_name_is_held_to_the_contract():
    assert {type(kind[0]) for kind in KINDS} == set(TASK_KINDS.values())
    assert all(name == kind.kind for name, kind in TASK_KINDS.items())


@each_kind
@pytest.mark.parametrize("n", [1, 2, 33])
def test_shapes(task, labels, n):
    raw, label = rows(task, labels, n, dtype=torch.float32)
    assert task.loss(raw, label).shape == (n,)
    assert task.loss(raw, label).dtype == torch.float32
    assert task.loss(raw, label).isfinite().all()
    assert task.estimate(raw).shape in {(n,), (n, task.outputs)}
    assert task.signal(raw).shape == (n, task.signal_width)
    assert task.signal(raw).isfinite().all()


@each_kind
def test_loss_has_the_dtype_of_the_raw_outputs(task, labels):
    raw, label = rows(task, labels, 5)
    assert task.loss(raw, label).dtype == torch.float64
    assert task.loss(raw.float(), label).dtype == torch.float32


@each_kind
def test_gradients_equal_finite_differences(task, labels):
    raw, label = rows(task, labels, 3)
    raw.requires_grad_()
    assert torch.autograd.gradcheck(lambda r: task.loss(r, label), raw)
    assert torch.autograd.gradcheck(task.signal, raw)


@each_likelihood
def test_loss_is_the_negative_log_likelihood_up_to_a_constant(task, labels, likelihood):
    one, label = rows(task, labels, 50, seed=1)
    other, _ = rows(task, labels, 50, seed=2)
    expected = likelihood(other).log_prob(label) - likelihood(one).log_prob(label)
    torch.testing.assert_close(task.loss(one, label) - task.loss(other, label), expected)


@each_likelihood
def test_estimate_is_in_the_labels_unit(task, labels, likelihood):
    raw, _ = rows(task, labels, 50)
    given = likelihood(raw)
    expected = given.probs if isinstance(given, Bernoulli | Categorical) else given.mean
    torch.testing.assert_close(task.estimate(raw), expected)


@each_kind
def test_permuting_rows_permutes_everything(task, labels):
    raw, label = rows(task, labels, 20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(3))
    assert torch.equal(task.loss(raw[order], label[order]), task.loss(raw, label)[order])
    assert torch.equal(task.estimate(raw[order]), task.estimate(raw)[order])
    assert torch.equal(task.signal(raw[order]), task.signal(raw)[order])


@each_kind
@pytest.mark.parametrize("size", [-1e4, 1e4])
def test_extreme_raw_outputs_stay_finite(task, labels, size):
    raw, label = rows(task, labels, 20, dtype=torch.float32)
    raw[:, -1] = size
    loss, _, gradient = loss_and_gradient(task, raw, label)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    assert gradient.abs().sum() > 0
    assert task.signal(raw).isfinite().all()


@each_kind
def test_mean_loss_is_the_mean_of_the_rows(task, labels):
    raw, label = rows(task, labels, 20)
    loss, active = mean_loss(task, raw, label)
    torch.testing.assert_close(loss, task.loss(raw, label).mean())
    assert loss.shape == ()
    assert active


@each_kind
def test_mean_loss_of_one_row(task, labels):
    raw, label = rows(task, labels, 1, dtype=torch.float32)
    loss, active, gradient = loss_and_gradient(task, raw, label)
    torch.testing.assert_close(loss, task.loss(raw, label)[0])
    assert active
    assert gradient.isfinite().all()


@each_kind
@pytest.mark.parametrize("poison", [0.0, torch.inf, -torch.inf, torch.nan])
def test_missing_labels_have_no_influence(task, labels, poison):
    raw, label = rows(task, labels, 12)
    missing = torch.arange(12) % 3 == 1
    loss, active, gradient = loss_and_gradient(
        task, torch.where(missing[:, None], poison, raw), torch.where(missing, torch.nan, label)
    )
    expected, _, expected_gradient = loss_and_gradient(task, raw[~missing], label[~missing])
    torch.testing.assert_close(loss, expected)
    assert active
    assert torch.equal(gradient[missing], torch.zeros_like(gradient[missing]))
    torch.testing.assert_close(gradient[~missing], expected_gradient)


@each_kind
@pytest.mark.parametrize("poison", [1.0, torch.inf, torch.nan])
@pytest.mark.parametrize("weighted", [False, True])
def test_all_labels_missing(task, labels, poison, weighted):
    raw, label = rows(task, labels, 4)
    weight = torch.rand(4, generator=torch.Generator().manual_seed(0)) if weighted else None
    loss, active, gradient = loss_and_gradient(
        task, torch.full_like(raw, poison), torch.full_like(label, torch.nan), weight
    )
    assert loss == 0
    assert not active
    assert torch.equal(gradient, torch.zeros_like(raw))


@each_kind
def test_a_batch_without_rows_is_inactive(task, labels):
    raw, label = rows(task, labels, 0)
    loss, active, gradient = loss_and_gradient(task, raw, label)
    assert loss == 0
    assert not active
    assert gradient.shape == (0, task.outputs)


@each_kind
def test_equal_weights_equal_none(task, labels):
    raw, label = rows(task, labels, 12)
    label[4] = torch.nan
    plain = loss_and_gradient(task, raw, label)
    weighted = loss_and_gradient(task, raw, label, torch.full((12,), 0.3))
    torch.testing.assert_close(weighted, plain)


@each_kind
@pytest.mark.parametrize("factor", [1e-6, 0.5, 1e6])
def test_only_the_weights_proportions_count(task, labels, factor):
    raw, label = rows(task, labels, 12)
    weight = torch.rand(12, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    torch.testing.assert_close(
        loss_and_gradient(task, raw, label, weight * factor), loss_and_gradient(task, raw, label, weight)
    )


@each_kind
def test_a_weight_counts_like_that_many_rows(task, labels):
    raw, label = rows(task, labels, 6)
    times = torch.tensor([3, 1, 0, 2, 5, 1])
    loss, active = mean_loss(task, raw, label, times.double())
    repeated, _ = mean_loss(task, raw.repeat_interleave(times, dim=0), label.repeat_interleave(times))
    torch.testing.assert_close(loss, repeated)
    assert active


@each_kind
@pytest.mark.parametrize("poison", [0.0, torch.inf, torch.nan])
def test_weight_zero_equals_missing(task, labels, poison):
    raw, label = rows(task, labels, 12)
    off = torch.arange(12) < 5
    raw = torch.where(off[:, None], poison, raw)
    weight = torch.where(off, 0.0, torch.linspace(0.5, 2.0, 12, dtype=torch.float64))
    loss, active, gradient = loss_and_gradient(task, raw, label, weight)
    missing = loss_and_gradient(
        task, raw, torch.where(off, torch.nan, label), torch.linspace(0.5, 2.0, 12, dtype=torch.float64)
    )
    torch.testing.assert_close((loss, active, gradient), missing)
    assert torch.equal(gradient[off], torch.zeros_like(gradient[off]))


@each_kind
def test_all_weights_zero_is_inactive(task, labels):
    raw, label = rows(task, labels, 5)
    loss, active, gradient = loss_and_gradient(task, raw, label, torch.zeros(5))
    assert loss == 0
    assert not active
    assert torch.equal(gradient, torch.zeros_like(raw))


@each_kind
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_outputs_give_a_float32_loss(task, labels, dtype):
    raw, label = rows(task, labels, 300, dtype=dtype)
    loss, active, gradient = loss_and_gradient(task, raw, label)
    assert loss.dtype == torch.float32
    assert gradient.dtype == dtype
    expected, _ = mean_loss(task, raw.double(), label.double())
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    assert active


def test_task_losses_keep_the_tasks_apart_and_in_order():
    tasks = [kind[0] for kind in KINDS]
    given = {task.name: rows(task, labels, 9, seed=i) for i, (task, labels, _) in enumerate(KINDS)}
    raws = {name: raw for name, (raw, _) in given.items()}
    targets = {name: label for name, (_, label) in given.items()} | {"many": torch.full((9,), torch.nan)}
    weight = torch.linspace(0.0, 1.0, 9, dtype=torch.float64)
    losses, active = task_losses(tasks, raws, targets, {"click": weight})
    assert active.tolist() == [True, True, False, True, True]
    expected = [
        mean_loss(task, raws[task.name], targets[task.name], weight if task.name == "click" else None)[0]
        for task in tasks
    ]
    assert losses.tolist() == [loss.item() for loss in expected]
    assert len(set(losses.tolist())) == len(tasks)
