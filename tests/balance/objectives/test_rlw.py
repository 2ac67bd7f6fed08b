import torch
from torchjd.scalarization import Random

from trunkline.balance.objectives.rlw import RLW


def test_each_draw_is_torchjds_from_the_same_seed():
    ours, theirs, losses = RLW(5, seed=3, rescale=False), Random(), torch.tensor([0.1, 1.0, 2.0, 30.0, 4.0])
    for step in range(4):
        with torch.random.fork_rng():
            torch.manual_seed(3 * 1_000_003 + step)
            expected = theirs(losses)
        torch.testing.assert_close(ours(losses), expected)


def test_the_weights_have_the_papers_distribution():
    """Log-ratios of a softmax of standard normals are normal with variance 2."""
    balancer, drawn = RLW(3), []
    for _ in range(3000):
        drawn.append(balancer.effective_weights(torch.ones(3)))
        balancer(torch.ones(3))
    weights = torch.stack(drawn)
    torch.testing.assert_close(weights.mean(0), torch.ones(3), atol=0.05, rtol=0)
    ratios = torch.stack([(weights[:, i] / weights[:, (i + 1) % 3]).log() for i in range(3)])
    torch.testing.assert_close(ratios.mean(1), torch.zeros(3), atol=0.1, rtol=0)
    torch.testing.assert_close(ratios.var(1), torch.full((3,), 2.0), atol=0.2, rtol=0)


def test_effective_weights_are_those_of_the_next_step_and_differ_between_steps_and_seeds():
    balancer, losses, seen = RLW(4, seed=1), torch.ones(4).requires_grad_(), []
    for _ in range(3):
        coming = balancer.effective_weights(losses)
        assert torch.equal(torch.autograd.grad(balancer(losses), losses)[0], coming)
        seen.append(coming)
    seen.append(RLW(4, seed=2).effective_weights(losses))
    assert len({tuple(weights.tolist()) for weights in seen}) == 4


def test_an_inactive_task_leaves_the_others_in_proportion():
    balancer, active = RLW(4), torch.tensor([True, False, True, True])
    everyone = balancer.effective_weights(torch.ones(4))
    few = balancer.effective_weights(torch.ones(4), active)
    assert few[1] == 0
    torch.testing.assert_close(few[active], everyone[active] * 3 / everyone[active].sum())
