"""What every task kind must satisfy. A new kind joins with one line in `KINDS`."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import pytest
import torch
from torch import Generator, Tensor, distributions
from torch.distributions import Bernoulli, Categorical, Distribution, Normal

from trunkline.tasks import (
    TASK_KINDS,
    Binary,
    Huber,
    Laplace,
    Lognormal,
    MixtureDensity,
    Multiclass,
    NegativeBinomial,
    Ordinal,
    Poisson,
    Quantile,
    Regression,
    Task,
    ZeroInflatedLognormal,
    mean_loss,
    task_losses,
)
from trunkline.tasks.facts import LabelFacts


@dataclass(frozen=True)
class Given:
    """A distribution that torch does not have."""

    log_prob: Callable[[Tensor], Tensor]
    mean: Tensor


Labels = Callable[[int, Generator], Tensor]
Likelihood = Callable[[Tensor], Distribution | Given]


def coin(n: int, generator: Generator) -> Tensor:
    return torch.randint(0, 2, (n,), generator=generator).double()


def classes(count: int) -> Labels:
    return lambda n, generator: torch.randint(0, count, (n,), generator=generator).double()


def gaussian(center: float, scale: float) -> Labels:
    return lambda n, generator: center + scale * torch.randn(n, generator=generator, dtype=torch.float64)


def above_0(center: float, scale: float) -> Labels:
    return lambda n, generator: gaussian(center, scale)(n, generator).exp()


def often_0(n: int, generator: Generator) -> Tensor:
    return above_0(2.0, 1.5)(n, generator) * coin(n, generator)


def counts(n: int, generator: Generator) -> Tensor:
    return gaussian(1.0, 1.0)(n, generator).exp().floor()


def width(raw: Tensor) -> Tensor:
    """σ as it is defined: from 0.01 up."""
    return 0.01 + 0.5 * (raw + (raw.square() + 4).sqrt())


def spend(raw: Tensor) -> Given:
    amount = distributions.LogNormal(2.0 + 1.5 * raw[:, 1], 1.5 * width(raw[:, 2]))
    p = torch.sigmoid(raw[:, 0])

    def log_prob(y: Tensor) -> Tensor:
        return torch.where(y > 0, p.log() + amount.log_prob(y.clamp(min=1e-9)), (1 - p).log())

    return Given(log_prob, p * amount.mean)


def rating(raw: Tensor) -> Given:
    """P(stars >= k) = sigmoid(logit k), for stars 1, 2, 4, 8: the middle logit moves all three."""
    start = torch.tensor([1 / 4, 1 / 2, 3 / 4], dtype=raw.dtype).logit()
    gap = 0.5 * (raw[:, 1:] + (raw[:, 1:].square() + 4).sqrt()) * (start[1] - start[0])
    middle = raw[:, 0] + start[1]
    above = torch.stack([middle + gap[:, 1], middle, middle - gap[:, 0]], dim=1).sigmoid()
    above = torch.nn.functional.pad(above, (1, 0), value=1.0)
    p = above - torch.nn.functional.pad(above[:, 1:], (0, 1))
    return Given(Categorical(p).log_prob, p @ torch.tensor([1.0, 2.0, 4.0, 8.0], dtype=raw.dtype))


def two_bumps(raw: Tensor) -> Distribution:
    spread = Normal(0.0, 1.0).icdf(torch.tensor([0.25, 0.75], dtype=raw.dtype))
    own = (1 - spread.square().mean()).sqrt()
    parts = Normal(40.0 + 12.5 * (raw[:, 2:4] + spread), 12.5 * (0.01 + own * (width(raw[:, 4:]) - 0.01)))
    return distributions.MixtureSameFamily(Categorical(logits=raw[:, :2]), parts)


def overdispersed(raw: Tensor) -> Distribution:
    log_mean, log_alpha = math.log(7.0) + raw[:, 0], math.log(1.5) + raw[:, 1]
    return distributions.NegativeBinomial((-log_alpha).exp(), logits=log_alpha + log_mean)


DWELL = {"center": 40.0, "scale": 12.5}
LOG = {"log_center": 2.0, "log_scale": 1.5}

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
    (
        Laplace(name="laplace", **DWELL),
        gaussian(40.0, 12.5),
        lambda raw: distributions.Laplace(raw[:, 0] * 12.5 + 40.0, 12.5),
    ),
    (Huber(name="huber", **DWELL), gaussian(40.0, 30.0), None),
    (Huber(name="bend_far", delta=99.0, **DWELL), gaussian(40.0, 9.0), lambda r: Normal(r[:, 0] * 12.5 + 40.0, 12.5)),
    (Quantile(name="quantile", **DWELL), gaussian(40.0, 12.5), None),
    (
        Quantile(name="median", levels=(0.5,), **DWELL),
        gaussian(40.0, 12.5),
        lambda raw: distributions.Laplace(raw[:, 0] * 12.5 + 40.0, 2 * 12.5),
    ),
    (Quantile(name="far", levels=(0.6, 0.7, 0.95, 0.99)), gaussian(0.0, 1.0), None),
    (MixtureDensity(name="mixture", components=2, **DWELL), gaussian(40.0, 12.5), two_bumps),
    (MixtureDensity(name="one_bump", components=1), gaussian(0.0, 1.0), lambda r: Normal(r[:, 1], width(r[:, 2]))),
    (
        Lognormal(name="lognormal", **LOG),
        above_0(2.0, 1.5),
        lambda raw: distributions.LogNormal(2.0 + 1.5 * raw[:, 0], 1.5 * width(raw[:, 1])),
    ),
    (ZeroInflatedLognormal(name="spend", **LOG), often_0, spend),
    (Poisson(name="poisson", mean=3.5), counts, lambda raw: distributions.Poisson(3.5 * raw[:, 0].exp())),
    (NegativeBinomial(name="overdispersed", mean=7.0, dispersion=1.5), counts, overdispersed),
    (Ordinal(name="stars", values=(1, 2, 4, 8)), classes(4), rating),
    (Ordinal(name="yes", levels=("no", "yes"), values=("no", "yes")), classes(2), lambda r: Bernoulli(logits=r[:, 0])),
    (Ordinal(name="grade", values=tuple("abcdefghijklmnopq")), classes(17), None),
]

each_kind = pytest.mark.parametrize(("task", "labels"), [kind[:2] for kind in KINDS], ids=lambda v: _name(v))
each_likelihood = pytest.mark.parametrize(
    ("task", "labels", "likelihood"), [kind for kind in KINDS if kind[2] is not None], ids=lambda v: _name(v)
)


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
    assert torch.autograd.gradcheck(task.estimate, raw)


@each_kind
def test_the_loss_is_never_below_0(task, labels):
    raw, label = rows(task, labels, 2000)
    assert task.loss(4 * raw, label).min() >= 0
    assert task.loss((4 * raw).float(), label).min() >= 0


@each_kind
def test_the_start_has_a_gradient(task, labels):
    """Where the last layer starts at 0."""
    _, label = rows(task, labels, 50)
    _, _, gradient = loss_and_gradient(task, torch.zeros(50, task.outputs), label)
    moved = (gradient != 0).any(0)
    assert moved.all() or (task.name == "one_bump" and moved.tolist() == [False, True, True])


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
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_everything_is_finite_whatever_the_raw_outputs_and_the_labels(task, labels, dtype):
    generator = torch.Generator().manual_seed(0)
    _, label = rows(task, labels, 20)
    if not task.leveled:
        wild = torch.tensor([0.0, 1e-12, 1.0, 2.0, 1e6, 1e12, -1e-12, -1e12], dtype=torch.float64)
        label = torch.cat([label, wild[task.allowed(wild)]])
    size = torch.tensor([-1e4, -100.0, -20.0, -1.0, 0.0, 1.0, 20.0, 100.0, 1e4])
    label = label[torch.randint(len(label), (4000,), generator=generator)]
    raw = size[torch.randint(len(size), (4000, task.outputs), generator=generator)].to(dtype)
    loss, _, gradient = loss_and_gradient(task, raw, label)
    assert loss.isfinite()
    assert gradient.isfinite().all()
    assert task.loss(raw.float(), label).min() >= 0
    for name, value in (
        {"estimate": task.estimate(raw), "signal": task.signal(raw)}
        | task.details(raw)
        | dict(enumerate(task.interval(raw) or ()))
    ).items():
        assert value.isfinite().all(), name
        assert value.dtype == dtype


@each_kind
@pytest.mark.parametrize("n", [0, 1, 33])
def test_interval_and_details_are_columns(task, labels, n):
    raw, _ = rows(task, labels, n)
    details = task.details(raw)
    assert all(value.shape == (n,) for value in details.values())
    interval = task.interval(raw)
    if interval is not None:
        low, high = interval
        assert low.shape == high.shape == (n,)
        assert (low <= high).all()
        assert torch.equal(details.get("low", low), low)
        assert torch.equal(details.get("high", high), high)


@each_kind
def test_what_is_allowed(task, labels):
    _, label = rows(task, labels, 40)
    assert task.allowed(label).dtype == torch.bool
    assert task.allowed(label).tolist() == [True] * 40
    assert task.rule


@each_kind
def test_what_training_rows_taught_survives_json(task, labels):
    own = {f.name: getattr(task, f.name) for f in fields(task) if not f.metadata.get("learned")}
    again = type(task)(**own).with_learned(json.loads(json.dumps(task.learned())))
    assert again == task
    assert again.outputs == task.outputs


@each_kind
def test_learning_keeps_what_the_user_said(task, labels):
    levels = ("no", "yes") if task.name == "yes" else (1, 2, 3)
    taught = task.learn(LabelFacts(rows=9, mean=6.0, std=3.0, log_mean=1.5, log_std=0.5, levels=levels))
    kept = {f.name for f in fields(task) if not f.metadata.get("learned")}
    assert all(getattr(taught, name) == getattr(task, name) for name in kept)
    raw = torch.zeros(4, taught.outputs)
    assert taught.estimate(raw).isfinite().all()


@each_kind
def test_export_follows_every_path(task, labels):
    class All(torch.nn.Module):
        def forward(self, raw: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return task.loss(raw, label), task.estimate(raw), task.signal(raw)

    n = torch.export.Dim("n")
    program = torch.export.export(All(), rows(task, labels, 7), dynamic_shapes=({0: n}, {0: n}))
    given = rows(task, labels, 11, seed=1)
    torch.testing.assert_close(program.module()(*given), All()(*given))


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
    assert active.tolist() == [task.name != "many" for task in tasks]
    expected = [
        mean_loss(task, raws[task.name], targets[task.name], weight if task.name == "click" else None)[0]
        for task in tasks
    ]
    assert losses.tolist() == [loss.item() for loss in expected]
    assert len(set(losses.tolist())) == len(tasks)
