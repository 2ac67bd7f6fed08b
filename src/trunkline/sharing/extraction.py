"""Extraction layer of CGC and PLE: shared experts beside each task's own, and the gates that mix them."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor, nn

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.nn.mlp import Layers
from trunkline.sharing.base import Gates
from trunkline.sharing.experts import Experts
from trunkline.sharing.gating import SHARED, SoftmaxGate, by_name, expert_names, mix, task_experts


@final
class Extraction(nn.Module):
    """Experts that all tasks read, experts that one task reads, and a gate for each path that is read further on.

    Args:
        in_features: width of what every expert and gate reads.
        tasks: names of the T tasks.
        shared: how many experts are shared.
        specific: how many experts each task has of its own `[T]`.
        hidden: widths of each expert's layers.
        layers: what they are made of.
        read: which tasks' mixtures are read `[T]`; all by default. The others have no gate.
        common: whether a mixture of all experts, the tasks' own too, is read.

    Raises:
        UserError: what `Experts` refuses.
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        shared: int,
        specific: Sequence[int],
        hidden: Sequence[int],
        layers: Layers | None = None,
        read: Sequence[bool] | None = None,
        common: bool = False,
    ) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.counts = (shared, *specific)
        self.shared = Experts(in_features, hidden, shared, layers=layers) if shared else None
        # By position: a task's name could be that of an attribute.
        self.specific = nn.ModuleDict(
            {str(t): Experts(in_features, hidden, count, layers=layers) for t, count in enumerate(specific) if count}
        )
        wanted = read or [True] * len(specific)
        self.gate = nn.ModuleDict(
            {str(t): SoftmaxGate(in_features, shared + specific[t]) for t, is_read in enumerate(wanted) if is_read}
        )
        self.common = SoftmaxGate(in_features, sum(self.counts)) if common else None
        self.out_features = hidden[-1]

    def forward(
        self, paths: Sequence[Tensor | None], shared: Tensor | None
    ) -> tuple[list[Tensor | None], Tensor | None]:
        """From what the tasks' paths and the shared path carry, `[N, in_features]`, to what they carry afterwards."""
        outputs = [] if self.shared is None else [self.shared(shared)]
        own = [self.outputs(t, x) for t, x in enumerate(paths)]
        mixed = [self.mixture(t, x, [*outputs, *own[t]]) if self.reads(t) else None for t, x in enumerate(paths)]
        if self.common is None:
            return mixed, None
        every = [*outputs, *(output for one in own for output in one)]
        return mixed, every[0].squeeze(1) if shared is None else mix(self.common(shared), *every)

    def outputs(self, t: int, x: Tensor | None) -> list[Tensor]:
        """What task t's own experts make of `[N, in_features]`: one `[N, E, out_features]`, or nothing."""
        return [self.specific[str(t)](x)] if str(t) in self.specific else []

    def mixture(self, t: int, x: Tensor | None, outputs: Sequence[Tensor]) -> Tensor:
        """Task t's mixture `[N, out_features]` of the shared experts' outputs and its own, by its features x."""
        # Without features there is one expert alone.
        return outputs[0].squeeze(1) if x is None else mix(self.gate[str(t)](x), *outputs)

    def reads(self, t: int) -> bool:
        """Whether task t's mixture is read."""
        return str(t) in self.gate

    def shares(self, paths: Sequence[Tensor | None], shared: Tensor | None = None) -> Gates:
        """How the gates mix the experts, for what the paths carry: `gate.<task>`, and `shared` for the common one."""
        names = [expert_names(SHARED, self.counts[0])]
        names += [task_experts(task, count) for task, count in zip(self.tasks, self.counts[1:], strict=True)]
        gates = {
            f"gate.{task}": by_name(names[0] + names[1 + t], self.gate[str(t)](x))
            for t, (task, x) in enumerate(zip(self.tasks, paths, strict=True))
            if self.reads(t) and x is not None
        }
        if self.common is not None and shared is not None:
            gates[SHARED] = by_name([name for some in names for name in some], self.common(shared))
        return gates

    def parameters_by_subnet(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by subnet: `shared`, `experts.<task>` and `gate.<task>`, where they have any."""
        shared = [module for module in (self.shared, self.common) if module is not None]
        owners = {SHARED: [parameter for module in shared for parameter in module.parameters()]}
        for kind, modules in (("experts", self.specific), ("gate", self.gate)):
            owners |= {f"{kind}.{self.tasks[int(t)]}": list(module.parameters()) for t, module in modules.items()}
        return owners


def specific_counts(tasks: Sequence[str], specific: int | Mapping[str, int]) -> tuple[int, ...]:
    """How many experts each task has of its own `[T]`, from a number for all or one by task.

    Raises:
        UserError: a number below 0; by task, one that is missing or unknown; all of them.
    """
    if isinstance(specific, int):
        specific = dict.fromkeys(tasks, specific)
    problems = Problems()
    for name, count in specific.items():
        if name not in tasks:
            problems.add(f"specific: {name!r} is none of the tasks {', '.join(tasks)}{did_you_mean(name, tasks)}")
        if count < 0:
            problems.add(f"specific {count}: there are 0 experts or more")
    missing = [task for task in tasks if task not in specific]
    if missing:
        problems.add(f"specific says nothing of {', '.join(missing)}: give one number for all tasks, or one for each")
    problems.raise_if_any()
    return tuple(specific[task] for task in tasks)


def check_counts(tasks: Sequence[str], shared: int, specific: Sequence[int]) -> None:
    """Refuse numbers that leave a task without anything to read.

    Raises:
        UserError: fewer than 0 shared experts; a task that has no expert, shared or its own.
    """
    if shared < 0:
        raise UserError(f"shared {shared}: there are 0 experts or more")
    empty = [task for task, own in zip(tasks, specific, strict=True) if shared + own == 0]
    if empty:
        raise UserError(f"no expert to read for {', '.join(empty)}: shared 0 and specific 0; give at least 1 of either")
