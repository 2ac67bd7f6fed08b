"""Selection score: which number picks the best epoch."""

from collections.abc import Callable, Collection, Sequence

from trunkline.errors import UserError, did_you_mean
from trunkline.metrics.scores import METRICS, Scores
from trunkline.tasks import Task


def selection(select: str, tasks: Sequence[Task], *, unsure: Collection[str] = ()) -> Callable[[Scores], float | None]:
    """A function from validation scores to one number, higher is better, that picks the best epoch.

    Args:
        select: `mean` (over every task's headline metric), `mean_<metric>` (over the tasks that have it), or
            `<task>.<metric>`.
        tasks: the tasks.
        unsure: names of those that validation rows hardly tell anything of; a mean is taken over the others, if any.

    Raises:
        UserError: `select` names no metric of these tasks.
    """
    if select == "mean":
        chosen = [(task.name, task.headline) for task in tasks]
    elif select.startswith("mean_"):
        chosen = [(task.name, select[5:]) for task in tasks if select[5:] in task.reported]
    else:
        name, _, metric = select.partition(".")
        chosen = [(task.name, metric) for task in tasks if task.name == name and metric in task.reported]
    if not chosen or any(METRICS[metric].higher_is_better is None for _, metric in chosen):
        metrics = {m: None for task in tasks for m in task.reported if METRICS[m].higher_is_better is not None}
        known = ["mean", *(f"mean_{metric}" for metric in metrics)]
        known += [f"{task.name}.{metric}" for task in tasks for metric in task.reported if metric in metrics]
        hint = did_you_mean(select, known)
        raise UserError(f"training.select: {select!r} is no score of these tasks{hint} (known: {', '.join(known)})")

    if select.startswith("mean"):
        chosen = [one for one in chosen if one[0] not in unsure] or chosen

    def total(scores: Scores) -> float | None:
        values = []
        for name, metric in chosen:
            value = scores[name][metric]
            if value is not None:
                values.append(value if METRICS[metric].higher_is_better else -value)
        return sum(values) / len(values) if values else None

    return total
