"""Task towers and their cascade: one task's estimate as another task's feature."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trunkline.errors import UserError
from trunkline.nn.mlp import MLP, Layers
from trunkline.tasks import Task, cascade_order, check_tasks


def stop_gradient(value: Tensor) -> Tensor:
    """The same values, through which no gradient flows back.

    Args:
        value: any shape.

    Returns:
        A tensor that shares memory with `value` and counts as a constant in every derivative.

    Examples:
        >>> p = torch.ones(2, requires_grad=True)
        >>> stop_gradient(p).requires_grad
        False
    """
    return value.detach()


class Towers(nn.Module):
    """One small subnet a task, run so that each comes after the tasks whose estimates it reads.

    A read estimate arrives as the upstream task's `signal`, appended to the tower's input; through `stop_gradient`
    unless the reading task says `gradient="flow"`.

    Args:
        tasks: T tasks.
        in_features: width of what each tower reads from the trunk.
        hidden: widths of each tower's hidden layers; empty for a linear tower.
        layers: what they are made of.

    Shape:
        - Input: T tensors `[N, in_features]`, in the tasks' order.
        - Output: `{task: [N, outputs]}` raw outputs, in the tasks' order.

    Raises:
        UserError: what `check_tasks` finds; a call with a number of inputs other than T.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        in_features: int,
        hidden: Sequence[int],
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        check_tasks(tasks)
        self.tasks = tuple(tasks)
        self.in_features = in_features
        self._order = cascade_order(tasks)
        by_name = {task.name: task for task in tasks}
        self.subnets = nn.ModuleList()
        for task in tasks:
            read = sum(by_name[name].signal_width for name in task.reads)
            body = MLP(in_features + read, hidden, layers)
            self.subnets.append(nn.Sequential(body, nn.Linear(body.out_features, task.outputs)))

    def forward(self, branches: Sequence[Tensor]) -> dict[str, Tensor]:
        """T tensors `[N, in_features]` -> `{task: [N, outputs]}`."""
        if len(branches) != len(self.tasks):
            raise UserError(f"{len(self.tasks)} towers need {len(self.tasks)} inputs, got {len(branches)}")
        by_name = {task.name: task for task in self.tasks}
        raws: dict[str, Tensor] = {}
        for i in self._order:
            task, inputs = self.tasks[i], [branches[i]]
            for name in task.reads:
                signal = by_name[name].signal(raws[name])
                inputs.append(signal if task.gradient == "flow" else stop_gradient(signal))
            raws[task.name] = self.subnets[i](torch.cat(inputs, dim=1) if len(inputs) > 1 else inputs[0])
        return {task.name: raws[task.name] for task in self.tasks}

    def parameters_by_subnet(self) -> dict[str, list[nn.Parameter]]:
        """All parameters by subnet, `tower.<task>`."""
        return {
            f"tower.{task.name}": list(subnet.parameters())
            for task, subnet in zip(self.tasks, self.subnets, strict=True)
        }
