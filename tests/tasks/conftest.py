"""Fits of a few parameters, and how far from the truth they may lie."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from trunkline.tasks import Task

Build = Callable[[Tensor], Tensor]
"""From parameters `[P]` to raw outputs `[N, outputs]`."""


@dataclass(frozen=True)
class Fit:
    """Parameters `[P]` and their standard errors `[P]`."""

    found: Tensor
    error: Tensor

    def agrees_with(self, truth: Tensor) -> bool:
        """Whether each is within 3 standard errors, which are small enough to tell it from 0."""
        assert (self.error < 0.1).all(), self
        return bool(((self.found - truth).abs() < 3 * self.error).all())


@pytest.fixture(scope="session")
def x():
    """`[20000]` float64, standard normal."""
    return torch.randn(20_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(scope="session")
def likeliest():
    """Maximum likelihood and standard errors by the observed information."""

    def likeliest(task: Task, build: Build, label: Tensor, start: Tensor) -> Fit:
        def total(parameters: Tensor) -> Tensor:
            return task.loss(build(parameters), label).mean()

        leaf = start.double().clone().requires_grad_()
        optimizer = torch.optim.LBFGS([leaf], max_iter=60, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            value = total(leaf)
            value.backward()
            return value

        optimizer.step(closure)
        found = leaf.detach()
        for _ in range(2):
            information = torch.autograd.functional.hessian(total, found)
            found = found - torch.linalg.solve(information, torch.func.grad(total)(found))
        assert torch.func.grad(total)(found).abs().max() < 1e-8
        return Fit(found, (torch.linalg.inv(information) / len(label)).diagonal().sqrt())

    return likeliest


@pytest.fixture(scope="session")
def flattest():
    """The least loss where it has kinks, and standard errors by the sandwich (Huber 1967); `build` is linear.

    `curvature` `[P, P]` is the Hessian of the expected loss of a row at given parameters: that of the loss itself is
    0 almost everywhere.
    """

    def flattest(task: Task, build: Build, label: Tensor, start: Tensor, curvature: Callable[[Tensor], Tensor]) -> Fit:
        steps = torch.eye(len(start), dtype=torch.float64)
        slopes = torch.stack([build(step) - build(0 * step) for step in steps], dim=2)  # [N, outputs, P]

        def scores(parameters: Tensor) -> Tensor:
            raw = build(parameters).requires_grad_()
            (pull,) = torch.autograd.grad(task.loss(raw, label).sum(), raw)
            return torch.einsum("no,nop->np", pull, slopes)

        found = start.double()
        for _ in range(12):
            bend, score = curvature(found), scores(found)
            found = found - torch.linalg.solve(bend, score.mean(0))
        spread, bread = score.T @ score / len(label), torch.linalg.inv(curvature(found))
        return Fit(found, (bread @ spread @ bread / len(label)).diagonal().sqrt())

    return flattest


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)
