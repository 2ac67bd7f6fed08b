import torch
from torch.distributions import Laplace as Noise

from trunkline.tasks import Laplace


def test_line_of_medians_is_recovered(x, generator, flattest):
    width, truth = 0.4, torch.tensor([0.3, -0.5]).double()
    line = torch.stack([torch.ones_like(x), x], dim=1)
    uniform = torch.rand(len(x), generator=generator, dtype=torch.float64)
    label = 7.0 + 20.0 * (line @ truth + Noise(0.0, width).icdf(uniform))
    bend = line.T @ line / len(x) / width  # E|y - m| bends as twice the density at the median, 1/(2b)
    task = Laplace(name="dwell", center=7.0, scale=20.0)
    fit = flattest(task, lambda p: (line @ p)[:, None], label, torch.zeros(2), lambda _: bend)
    assert fit.agrees_with(truth)


def test_far_labels_pull_as_much_as_near_ones():
    raw = torch.zeros(2, 1, requires_grad=True)
    Laplace(name="dwell").loss(raw, torch.tensor([1.0, 1e12])).sum().backward()
    assert raw.grad.tolist() == [[-1.0], [-1.0]]


def test_large_labels_keep_their_digits():
    """In float32 alone 1e12 + 1 is 1e12."""
    task = Laplace(name="time", center=1e12, scale=2.0)
    label = torch.tensor([1e12 + 1, 1e12 - 3], dtype=torch.float64)
    assert task.loss(torch.zeros(2, 1), label).tolist() == [0.5, 1.5]
