import math

import pytest
import torch
from torch.distributions import Categorical

from trunkline.errors import UserError
from trunkline.tasks import Ordinal
from trunkline.tasks.facts import LabelFacts


def facts(*levels):
    return LabelFacts(rows=50, mean=1.0, std=1.0, levels=levels)


@pytest.mark.parametrize("count", [2, 3, 4, 17])
@pytest.mark.parametrize("size", [0.0, 1.0, 20.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_sum_to_1(generator, count, size, dtype):
    task = Ordinal(name="stars", values=tuple(range(count)))
    raw = (size * torch.randn(2000, count - 1, generator=generator, dtype=torch.float64)).to(dtype)
    p = task.probabilities(raw)
    assert p.shape == (2000, count)
    assert (p >= 0).all()
    torch.testing.assert_close(
        p.sum(1), torch.ones(2000, dtype=dtype), rtol=0, atol=1e-5 if dtype.itemsize < 8 else 1e-12
    )
    torch.testing.assert_close(task.loss(raw, p.argmax(1)), -p.amax(1).log())


def test_all_levels_are_alike_at_the_start():
    p = Ordinal(name="stars", values=(1, 2, 3, 4, 5)).probabilities(torch.zeros(1, 4))
    torch.testing.assert_close(p, torch.full((1, 5), 0.2))


def test_logits_never_cross(generator):
    task = Ordinal(name="stars", values=tuple(range(9)))
    raw = 1e4 * torch.randn(3000, 8, generator=generator)
    assert (task.signal(raw).diff(dim=1) <= 0).all()
    raw = torch.randn(3000, 8, generator=generator)
    above = task.probabilities(raw).flip(1).cumsum(1).flip(1)[:, 1:]
    torch.testing.assert_close(task.signal(raw).sigmoid(), above)


def test_two_levels_are_a_binary_task(generator):
    raw = torch.randn(30, 1, generator=generator)
    label = torch.randint(0, 2, (30,), generator=generator).float()
    expected = torch.nn.functional.binary_cross_entropy_with_logits(raw[:, 0], label, reduction="none")
    torch.testing.assert_close(Ordinal(name="yes").loss(raw, label), expected)


def test_proportional_odds_are_recovered(x, generator, likeliest):
    """A slope, and three cutpoints, one place of which is the intercept."""
    task = Ordinal(name="stars", values=(1, 2, 3, 4))
    truth = torch.tensor([0.3, -0.5, 0.4, -0.6]).double()

    def build(p):
        return torch.stack([p[0] + p[1] * x, p[2].expand(len(x)), p[3].expand(len(x))], dim=1)

    gaps = [math.log(3) * 0.5 * (raw + math.sqrt(raw * raw + 4)) for raw in (0.4, -0.6)]  # from logits ± log 3
    noise = torch.rand(len(x), generator=generator, dtype=torch.float64).logit()
    latent = 0.3 - 0.5 * x + noise
    label = ((latent > -gaps[1]).double() + (latent > 0) + (latent > gaps[0])).double()
    assert likeliest(task, build, label, torch.zeros(4)).agrees_with(truth)


def test_estimate_is_the_expected_level():
    task = Ordinal(name="size", levels=(10, 20, 50), values=(10, 20, 50))
    raw = torch.tensor([[0.3, -0.2], [1e4, 0.0], [-1e4, 0.0]])
    expected = task.probabilities(raw[:1])[0] @ torch.tensor([10.0, 20.0, 50.0])
    assert task.estimate(raw).tolist() == pytest.approx([expected.item(), 50.0, 10.0])
    assert task.details(raw[1:])["mode"].tolist() == [50.0, 10.0]
    text = Ordinal(name="size", levels=("small", "medium", "large"))
    assert text.outputs == 2
    assert text.estimate(raw[1:]).tolist() == [2.0, 0.0]
    assert Ordinal(name="yes", values=(False, True)).estimate(torch.zeros(1, 1)).item() == 0.5


@pytest.mark.parametrize(("size", "place"), [(1e4, 0), (-1e4, 2)])
def test_a_row_far_out_is_pulled_back(size, place):
    leaf = torch.tensor([[size, size]], requires_grad=True)
    Ordinal(name="stars", values=(1, 2, 3)).loss(leaf, torch.tensor([place])).sum().backward()
    assert leaf.grad.isfinite().all()
    assert leaf.grad[0, 0] * size > 0


def test_a_level_that_has_vanished_comes_back():
    leaf = torch.tensor([[0.0, -1e4]], requires_grad=True)
    task = Ordinal(name="stars", values=(1, 2, 3))
    assert task.probabilities(leaf)[0, 1] < 1e-4
    task.loss(leaf, torch.tensor([1])).sum().backward()
    assert leaf.grad[0, 1] < 0


def test_numbers_are_put_in_order():
    task = Ordinal(name="stars").learn(facts(3, 1, 10))
    assert task.learned() == {"values": (1, 3, 10)}
    assert task.outputs == 2


def test_given_levels_keep_their_order_and_need_not_all_occur():
    task = Ordinal(name="size", levels=("small", "medium", "large")).learn(facts("large", "small"))
    assert task.values == ("small", "medium", "large")


def test_text_needs_an_order():
    with pytest.raises(UserError, match=r"'large', 'small'.*levels"):
        Ordinal(name="size").learn(facts("large", "small"))


def test_a_trained_level_that_is_not_given_is_refused():
    with pytest.raises(UserError, match=r"holds 'huge' in train"):
        Ordinal(name="size", levels=("small", "large")).learn(facts("huge", "small"))


def test_one_level_is_refused():
    with pytest.raises(UserError, match="1 level"):
        Ordinal(name="stars").learn(facts(3))


@pytest.mark.parametrize("levels", [("one",), (1, 2, 1), (1.0, float("nan")), "abc"])
def test_levels_are_two_or_more_and_different(levels):
    with pytest.raises(UserError, match="levels"):
        Ordinal(name="stars", levels=levels)


def test_loss_is_the_categorical_one(generator):
    task = Ordinal(name="stars", values=(1, 2, 3, 4))
    raw = torch.randn(100, 3, generator=generator, dtype=torch.float64)
    label = torch.randint(0, 4, (100,), generator=generator)
    torch.testing.assert_close(task.loss(raw, label), -Categorical(task.probabilities(raw)).log_prob(label))
