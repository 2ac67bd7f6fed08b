"""The contracts of balancers: what turns several losses, or their gradients, into one update."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from trunkline.errors import UserError


class ObjectiveBalancer(nn.Module, ABC):
    """Merges one loss a task into one objective; all state in parameters and buffers.

    Args:
        tasks: T, the number of tasks.

    Raises:
        UserError: T is below 1.
    """

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
        training = self.training
        self.eval()
        try:
            with torch.enable_grad():
                leaf = losses.detach().clone().requires_grad_()
                return torch.autograd.grad(self(leaf, active), leaf)[0]
        finally:
            self.train(training)

    @abstractmethod
    def merge(self, losses: Tensor, active: Tensor) -> Tensor:
        """The objective `[]` from losses `[T]` that are 0 where `active` `[T]` is false.

        State that moves with the losses moves in training mode only.
        """


class GramianBalancer(nn.Module, ABC):
    """Turns the inner products of the active tasks' gradients into one weight a task.

    Args:
        rescale: scale the weights to sum to the number of active tasks A, so that swapping methods does not
            silently change the learning rate; False keeps the paper's scale.
    """

    def __init__(self, *, rescale: bool = True) -> None:
        super().__init__()
        self.rescale = rescale

    @torch.no_grad()
    def forward(self, gramian: Tensor) -> Tensor:
        """Weights `[A]` from the Gramian `[A, A]` of the active tasks' gradients, in its dtype and on its device.

        The Gramian is scaled to a largest diagonal entry of 1 and handed on in float64 on the CPU, where T is
        small: norms from 1e-12 to 1e12 in float32 pass without overflow.

        Raises:
            UserError: the Gramian is not square.
        """
        if gramian.ndim != 2 or gramian.shape[0] != gramian.shape[1] or not len(gramian):
            raise UserError(f"a square Gramian [A, A] expected, got {tuple(gramian.shape)}")
        products = gramian.detach().to("cpu", torch.float64)
        largest = products.diagonal().max()
        weights = self.weigh(products / largest if largest > 0 else products)
        total = weights.sum()
        if self.rescale and total > 0:
            weights = weights * (len(weights) / total)
        return weights.to(gramian)

    @abstractmethod
    def weigh(self, gramian: Tensor) -> Tensor:
        """Weights `[A]` on the method's own scale from a Gramian `[A, A]`, float64 on the CPU."""
