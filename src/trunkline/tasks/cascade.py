"""Task dependencies: whose estimates a task reads, and in whose sample space it lives."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trunkline.errors import Problems, did_you_mean
from trunkline.tasks.base import Task
from trunkline.tasks.binary import Binary


def check_tasks(tasks: Sequence[Task]) -> None:
    """Check names, `reads` and `where` of all tasks.

    Raises:
        UserError: no task, a name twice, an unknown task in `reads`, a `where` or `space` that names no binary task, a
            `space` of a task that is not binary, or a cycle; every problem is listed, a cycle by its members.
    """
    problems = Problems()
    names = [task.name for task in tasks]
    if not tasks:
        problems.add("no task: give at least one")
    for name in sorted({name for name in names if names.count(name) > 1}):
        problems.add(f"task {name}: the name is used {names.count(name)} times")
    binary = [task.name for task in tasks if isinstance(task, Binary)]
    for task in tasks:
        for read in task.reads:
            if read not in names:
                problems.add(f"task {task.name}: reads {read!r}, which is no task{did_you_mean(read, names)}")
        for word, outer in (("where", task.where), ("space", task.space)):
            if outer is not None and outer not in binary:
                kind = "is not a binary task" if outer in names else "is no task"
                problems.add(
                    f"task {task.name}: {word} {outer!r}, which {kind}; "
                    f"binary tasks: {', '.join(binary) or 'none'}{did_you_mean(outer, binary)}"
                )
        if task.space is not None and task.name not in binary:
            problems.add(
                f"task {task.name}: space {task.space!r}, but it is {task.kind}; only probabilities multiply: make it "
                "binary, or train it on the rows in which the other happened (where)"
            )
    problems.raise_if_any()
    for word, edges in (
        ("reads", {task.name: task.reads for task in tasks}),
        ("where", {task.name: (task.where,) if task.where else () for task in tasks}),
        ("space", {task.name: (task.space,) if task.space else () for task in tasks}),
        ("where and space", {task.name: tuple(n for n in (task.where, task.space) if n) for task in tasks}),
    ):
        cycle = _find_cycle(edges)
        if cycle and not problems:
            problems.add(f"{word} form a cycle: {' -> '.join(cycle)}; remove one of them")
    problems.raise_if_any()


def cascade_order(tasks: Sequence[Task]) -> list[int]:
    """Positions of the tasks so that each comes after all that it reads; otherwise in the given order."""
    position = {task.name: i for i, task in enumerate(tasks)}
    order: list[int] = []

    def visit(i: int) -> None:
        if i not in order:
            for read in tasks[i].reads:
                visit(position[read])
            order.append(i)

    for i in range(len(tasks)):
        visit(i)
    return order


def sample_space(tasks: Sequence[Task], labels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The labels `{task: [N]}` as each task's sample space has them.

    NaN outside a task's `where`, or that of its `space`, through chains too; 0 where the task of its `space` did not
    happen, observed or not, for then it cannot have happened either.
    """
    by_name = {task.name: task for task in tasks}

    def whole(task: Task) -> Tensor:
        if task.space is None:
            return labels[task.name]
        return torch.where(whole(by_name[task.space]) == 0, 0.0, labels[task.name])

    def inside(task: Task) -> Tensor | None:
        if task.space is not None:
            return inside(by_name[task.space])
        if task.where is None:
            return None
        happened = whole(by_name[task.where]) == 1
        outer = inside(by_name[task.where])
        return happened if outer is None else happened & outer

    result = {}
    for task in tasks:
        label, mask = whole(task), inside(task)
        result[task.name] = label if mask is None else torch.where(mask, label, torch.nan)
    return result


def _find_cycle(edges: Mapping[str, Sequence[str]]) -> list[str]:
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for following in edges[name]:
            cycle = walk(following, [*path, name])
            if cycle:
                return cycle
        done.add(name)
        return []

    for name in edges:
        cycle = walk(name, [])
        if cycle:
            return cycle
    return []
