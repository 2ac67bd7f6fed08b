"""Tasks that the validation rows hardly tell anything of."""

import logging
from collections.abc import Sequence

from trunkline.tables import Store
from trunkline.tasks import Binary, Task, sample_space

FEWEST = 10
"""Validation rows of each label of a binary task by which an epoch can be chosen."""


def unsure_tasks(tasks: Sequence[Task], valid: Store | None) -> list[str]:
    """Binary tasks with so few validation rows of a label that an epoch chosen by them would be one of chance."""
    found = []
    for task in tasks if valid is not None and len(tasks) > 1 else ():
        if not isinstance(task, Binary) or valid is None:
            continue
        labels = sample_space(tasks, valid.rows.labels)[task.name]
        counts = [int((labels == value).sum()) for value in (0, 1)]
        if 0 < min(counts) < FEWEST:
            found.append(task.name)
            logging.getLogger("trunkline").warning(
                "task %s has %d validation rows of label %d: too few to choose an epoch by; select: mean is over the "
                "other tasks",
                task.name,
                min(counts),
                counts.index(min(counts)),
            )
    return found
