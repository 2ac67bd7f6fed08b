import pytest
import torch

from trunkline.balance.objectives.gradnorm import GradNorm
from trunkline.errors import UserError

THREE = torch.ones(3, dtype=torch.bool)


def norms_of(weighted, at):
    return torch.stack([torch.autograd.grad(loss, at, retain_graph=True)[0].norm() for loss in weighted])


@pytest.mark.parametrize("alpha", [0.0, 0.12, 1.5])
def test_a_run_is_the_papers_algorithm_by_autograd(alpha):
    """Algorithm 1 in float64: L_grad through second derivatives, torch's Adam, weights renormalised to T."""
    balancer, generator = GradNorm(3, alpha=alpha, lr=0.01).double(), torch.Generator().manual_seed(0)
    features = torch.randn(20, 5, generator=generator, dtype=torch.float64)
    labels = torch.randn(20, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.2, 1.0, 4.0])
    shared = torch.randn(5, 4, generator=generator, dtype=torch.float64).requires_grad_()
    heads = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    weights = torch.ones(3, dtype=torch.float64, requires_grad=True)
    adam, first = torch.optim.Adam([weights], lr=0.01), None
    for _ in range(60):
        losses = ((features @ shared).tanh() @ heads - labels).square().mean(0)
        first = losses.detach() if first is None else first
        objective = balancer(losses)
        torch.testing.assert_close(objective, (weights.detach() * losses).sum(), rtol=1e-6, atol=1e-7)

        slopes = [torch.autograd.grad(w * loss, shared, create_graph=True) for w, loss in zip(weights, losses)]  # noqa: B905
        norms = torch.stack([slope.norm() for (slope,) in slopes])
        ratios = losses.detach() / first
        targets = (norms.mean() * (ratios / ratios.mean()) ** alpha).detach()
        weights.grad = torch.autograd.grad((norms - targets).abs().sum(), weights, retain_graph=True)[0]
        adam.step()
        with torch.no_grad():
            weights *= 3 / weights.sum()

        balancer.observe(THREE, norms=norms_of(balancer_weights(balancer, losses) * losses, shared))
        torch.testing.assert_close(balancer.weights, weights.detach(), rtol=1e-6, atol=1e-7)
        (slope,) = torch.autograd.grad(objective, shared)
        with torch.no_grad():
            shared -= 0.02 * slope


def balancer_weights(balancer, losses):
    return balancer.effective_weights(losses.detach())


def test_the_first_step_against_numbers():
    balancer = GradNorm(2, lr=0.1)
    balancer(torch.tensor([1.0, 1.0]))
    balancer.observe(torch.ones(2, dtype=torch.bool), norms=torch.tensor([9.0, 1.0]))  # both should be 5
    torch.testing.assert_close(balancer.weights, torch.tensor([0.9, 1.1]))
    balancer(torch.tensor([1.0, 1.0]))
    assert balancer.effective_weights(torch.ones(2)).tolist() == pytest.approx([0.9, 1.1])


def test_a_task_that_learns_slowly_gains_weight():
    balancer = GradNorm(2)
    balancer(torch.tensor([10.0, 2.0]))
    balancer.observe(torch.ones(2, dtype=torch.bool), norms=torch.ones(2))
    assert balancer.weights.tolist() == [1.0, 1.0]
    balancer(torch.tensor([9.0, 1.0]))
    balancer.observe(torch.ones(2, dtype=torch.bool), norms=torch.ones(2))
    assert balancer.weights[0] > 1 > balancer.weights[1]


def descend(balancer, steps=150):
    """Two quadratics of one vector, one 25 times as steep; what is left of the losses, and their weighted norms."""
    place = torch.tensor([1.0, 1.0], requires_grad=True)
    for _ in range(steps):
        losses = torch.stack([12.5 * place[0] ** 2, 0.5 * place[1] ** 2]) + 1.0
        objective = balancer(losses)
        weights = balancer.effective_weights(losses.detach())
        norms = norms_of(weights * losses, place)
        balancer.observe(torch.ones(2, dtype=torch.bool), norms=norms)
        (slope,) = torch.autograd.grad(objective, place)
        with torch.no_grad():
            place -= 1e-3 * slope
    return (losses.detach() - 1) / torch.tensor([12.5, 0.5]), norms


def test_training_rates_and_norms_approach_one_another():
    plain, _ = descend(GradNorm(2, lr=1e-9))
    left, _ = descend(GradNorm(2))
    assert plain[1] > 1000 * plain[0]
    assert left[1] < 3 * left[0]
    _, norms = descend(GradNorm(2, alpha=0.0))
    assert norms[0].item() == pytest.approx(norms[1].item(), rel=0.1)


def test_absent_tasks_keep_their_weight_and_the_others_their_sum():
    balancer, some = GradNorm(3), torch.tensor([True, False, True])
    for _ in range(20):
        balancer(torch.tensor([1.0, torch.nan, 2.0]), some)
        balancer.observe(some, norms=torch.tensor([9.0, torch.nan, 1.0]))
    assert balancer.weights[1] == 1.0
    assert balancer.weights.sum().item() == pytest.approx(3.0)
    assert balancer.weights[0] < 0.7
    assert balancer.started.tolist() == [True, False, True]
    assert balancer.effective_weights(torch.ones(3)).sum().item() == pytest.approx(3.0)


@pytest.mark.parametrize("norms", [[0.0, 0.0, 0.0], [0.0, 1.0, 1e30], [torch.nan, torch.inf, 1.0], [1e-30, 1e30, 1.0]])
@pytest.mark.parametrize("losses", [[1.0, 2.0, 3.0], [0.0, -1.0, 1.0], [torch.inf, 1e-30, 1e30]])
def test_no_norm_or_loss_breaks_the_weights(norms, losses):
    balancer = GradNorm(3, lr=1.0)
    for start in ([1.0, 1.0, 1.0], losses, losses, losses):
        balancer(torch.tensor(start))
        balancer.observe(THREE, norms=torch.tensor(norms))
    assert balancer.weights.isfinite().all()
    assert (balancer.weights > 0).all()
    assert balancer.effective_weights(torch.ones(3)).sum().item() == pytest.approx(3.0)


def test_impossible_settings_are_refused():
    with pytest.raises(UserError, match="alpha -1: it must be 0 or more"):
        GradNorm(2, alpha=-1)
    with pytest.raises(UserError, match="lr 0: it must be above 0"):
        GradNorm(2, lr=0)
    with pytest.raises(UserError, match="GradNorm needs norms after each step"):
        GradNorm(2).observe(torch.ones(2, dtype=torch.bool))
