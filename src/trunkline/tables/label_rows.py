"""Which rows of a label count, by its task's `where`."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from torch import Tensor

from trunkline.tasks import Task, sample_space


def where_last(tasks: Sequence[Task], wrong: Collection[str]) -> list[Task]:
    """The tasks that are not wrong, each behind the one that says which of its rows count."""
    by_name, order = {task.name: task for task in tasks}, dict[str, Task]()

    def visit(task: Task) -> None:
        for outer in (task.where, task.space):
            if outer in by_name and outer not in order:
                visit(by_name[outer])
        order[task.name] = task

    for task in tasks:
        visit(task)
    return [task for name, task in order.items() if name not in wrong]


def counted_rows(task: Task, tasks: Sequence[Task], labels: Mapping[str, Tensor]) -> np.ndarray | None:
    """`[N]`, true where a task's rows count by its `where`; None where all do, or nobody can tell."""
    by_name = {one.name: one for one in tasks}
    while task.space is not None and task.space in by_name:
        task = by_name[task.space]
    needed, outer = list[Task](), by_name.get(task.where or "")
    while outer is not None:
        needed.append(outer)
        outer = by_name.get(outer.where or outer.space or "")
    if not needed or any(one.name not in labels for one in needed):
        return None
    found: np.ndarray = (sample_space(needed, labels)[needed[0].name] == 1).numpy()
    return found
