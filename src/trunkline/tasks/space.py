"""Entire-space estimates: p(buy) = p(click)·p(buy | click), formed in log space over all rows."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from trunkline.tasks.base import Task


def join(outer: Tensor, inner: Tensor) -> Tensor:
    """The logit of p·q from the logits of p and q, of any shape.

    log p·q is a sum of log-sigmoids; log(1 - p·q) = log((1 - p) + p·(1 - q)) a log-sum of them. So nothing is lost
    where p or q is near 0 or 1, and the result is finite for logits of any size that a
    network gives (tested to ±1e4).
    """
    yes = F.logsigmoid(outer) + F.logsigmoid(inner)
    no = torch.logaddexp(F.logsigmoid(-outer), F.logsigmoid(outer) + F.logsigmoid(-inner))
    return yes - no


def joint(
    tasks: Sequence[Task], raws: Mapping[str, Tensor], *, observed: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Raw outputs `{task: [N, outputs]}` in which each task with a `space` has the logit of its joint probability.

    ESMM (Ma et al. 2018, arXiv 1804.07931, eq. 5): a tower for p(buy | click) is trained through the product
    p(click)·p(buy | click) over all impressions, so that it has no sample selection bias. Chains (`pay` in the space of
    `buy` in the space of `click`) multiply.

    NOTE[DIFF]: the paper lets the joint loss train the click tower too; here it does under `gradient: flow`, and by
    default it stops there, as with every estimate that another task takes.

    Args:
        tasks: all tasks.
        raws: the towers' raw outputs; half precision is raised to float32 where probabilities are multiplied.
        observed: by task, which rows take part `[N]`; where given, the others stand as 0, so that whatever the towers
            gave there neither shows nor sends back a gradient.
    """
    by_name = {task.name: task for task in tasks}

    def of(task: Task, rows: Tensor | None) -> Tensor:
        raw = raws[task.name]
        if raw.dtype in (torch.float16, torch.bfloat16):
            raw = raw.float()
        if rows is not None:
            raw = torch.where(rows[:, None], raw, 0.0)
        if task.space is None:
            return raw
        outer = of(by_name[task.space], rows)
        return join(outer if task.gradient == "flow" else outer.detach(), raw)

    return {
        task.name: raws[task.name]
        if task.space is None
        else of(task, None if observed is None else observed[task.name])
        for task in tasks
    }
