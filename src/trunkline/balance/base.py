"""Base classes of balancers: what turns several losses, or their gradients, into one update."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from trunkline.errors import UserError


class ObjectiveBalancer(nn.Module, ABC):
    """Merges one loss a task into one objective; all state in parameters and buffers.

    Args:
        tasks: T, the number of tasks.

    Attributes:
        observes: what the method wants to be told through `observe` after each step: `"losses"`, the losses of the
            same batch after the step, or `"norms"`, the norms of the tasks' gradients at the fork.

    Raises:
        UserError: T is below 1.
    """

    observes: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, tasks: int) -> None:
        super().__init__()
        if tasks < 1:
            raise UserError(f"a balancer needs at least one task, not {tasks}")
        self.tasks = tasks

    def forward(self, losses: Tensor, active: Tensor | None = None) -> Tensor:
        """The objective `[]` to call `backward()` on.

        Args:
            losses: `[T]` in nats.
            active: `[T]` boolean, false for a task without an observed row; such a task has no influence, whatever
                its loss holds. All tasks by default.

        Raises:
            UserError: `losses` is not `[T]`.
        """
        if losses.shape != (self.tasks,):
            raise UserError(f"{self.tasks} losses expected, got a tensor of shape {tuple(losses.shape)}")
        if active is None:
            active = torch.ones_like(losses, dtype=torch.bool)
        return self.merge(torch.where(active, losses, 0.0), active)

    def effective_weights(self, losses: Tensor, active: Tensor | None = None) -> Tensor:
        """∂objective/∂losses `[T]`: how much each loss counts at this moment; changes nothing in the balancer."""
        return self.evaluate(losses, active)[1]

    def evaluate(self, losses: Tensor, active: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The objective `[]` and its effective weights `[T]`, without a change in the balancer."""
        training = self.training
        self.eval()
        try:
            with torch.enable_grad():
                leaf = losses.detach().clone().requires_grad_()
                objective = self(leaf, active)
                return objective.detach(), torch.autograd.grad(objective, leaf)[0]
        finally:
            self.train(training)

    @torch.no_grad()
    def observe(self, active: Tensor, *, losses: Tensor | None = None, norms: Tensor | None = None) -> None:
        """Take in what `observes` names, after the optimiser's step.

        Args:
            active: `[T]` boolean, as in the step.
            losses: `[T]` of the same batch under the new parameters.
            norms: `[T]` norms of the gradients that reached the fork, each of its weighted loss.

        Raises:
            UserError: something that `observes` names is missing.
        """
        given = {"losses": losses, "norms": norms}
        missing = [name for name in sorted(self.observes) if given[name] is None]
        if missing:
            raise UserError(f"{type(self).__name__} needs {', '.join(missing)} after each step: call observe with them")
        self.update(active, losses=losses, norms=norms)

    def update(self, active: Tensor, *, losses: Tensor | None, norms: Tensor | None) -> None:
        """What a method makes of `observe`; nothing, unless it names something in `observes`."""
        return

    @abstractmethod
    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """The objective `[]` from losses `[T]` that are 0 where `active` `[T]` is false.

        State that moves with the losses moves in training mode only.
        """


class GramianBalancer(nn.Module, ABC):
    """Turns the inner products of the active tasks' gradients into one weight a task.

    Args:
        rescale: scale the weights so that their absolute values sum to the number of active tasks A: swapping methods
            then does not silently change the learning rate; False keeps the paper's scale.
    """

    def __init__(self, *, rescale: bool = True) -> None:
        super().__init__()
        self.rescale = rescale

    @torch.no_grad()
    def forward(self, gramian: Tensor, active: Sequence[int] | None = None) -> Tensor:
        """Weights `[A]` from the Gramian `[A, A]` of the active tasks' gradients, in its dtype and on its device.

        The Gramian is scaled by a power of two, which changes no bit of it but the exponents, and handed on in float64
        on the CPU, where T is small: norms from 1e-12 to 1e12 in float32 pass without overflow. Its largest diagonal
        entry is then at least ½ and below 1; with `rescale=False`, where the scale of the weights counts, exactly 1.

        Args:
            gramian: `[A, A]`.
            active: positions of the A active tasks among all T, for methods that remember tasks; 0 … A-1 by default.

        Raises:
            UserError: the Gramian is not square, or there are not A positions.
        """
        if gramian.ndim != 2 or gramian.shape[0] != gramian.shape[1] or not len(gramian):
            raise UserError(f"a square Gramian [A, A] expected, got {tuple(gramian.shape)}")
        positions = list(range(len(gramian))) if active is None else list(active)
        if len(positions) != len(gramian):
            raise UserError(f"a Gramian of {len(gramian)} tasks with {len(positions)} positions")
        products = gramian.detach().to("cpu", torch.float64)
        largest = max(products.diagonal().tolist())
        if 0 < largest < math.inf:
            mantissa, exponent = math.frexp(largest)
            products = torch.from_numpy(np.ldexp(products.numpy(), -exponent))
            products = products if self.rescale else products / mantissa
        weights = self.weigh(products, positions)
        if self.rescale:
            # By absolute values, since some methods' weights may be negative: a sum near 0 would blow up the step.
            total = math.fsum(map(abs, weights.tolist()))
            weights = weights * (len(weights) / total) if total > 0 else weights
        return weights.to(gramian)

    @abstractmethod
    def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
        """Weights `[A]` on the method's own scale from a Gramian `[A, A]` of tasks `active`, float64 on the CPU."""


class JacobianBalancer(nn.Module, ABC):
    """Turns the active tasks' gradients themselves into one.

    Attributes:
        at_fork: whether rows of cotangents will do; False where the state is per parameter.
        elementwise: whether each coordinate is combined by itself, so that rows may lie on several processes.
        weights: `[T]`, of a method that is not `at_fork`: what each task counted in its last combination.
    """

    at_fork: ClassVar[bool] = True
    elementwise: ClassVar[bool] = False
    weights: Tensor

    @torch.no_grad()
    def forward(self, jacobian: Tensor, active: Sequence[int] | None = None) -> Tensor:
        """One gradient `[M]` from the active tasks' gradients `[A, M]`.

        Args:
            jacobian: `[A, M]` float32 or float64.
            active: positions of the A active tasks among all T; 0 … A-1 by default.

        Raises:
            UserError: the Jacobian is no matrix, or there are not A positions.
        """
        if jacobian.ndim != 2 or not len(jacobian):
            raise UserError(f"a Jacobian [A, M] expected, got {tuple(jacobian.shape)}")
        positions = list(range(len(jacobian))) if active is None else list(active)
        if len(positions) != len(jacobian):
            raise UserError(f"a Jacobian of {len(jacobian)} tasks with {len(positions)} positions")
        return self.combine(jacobian, positions)

    @abstractmethod
    def combine(self, jacobian: Tensor, active: Sequence[int]) -> Tensor:
        """The gradient `[M]` from those `[A, M]` of tasks `active`."""
