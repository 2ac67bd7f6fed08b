"""The contract of task kinds."""

import json
from collections.abc import Callable

import torch
from torch import Tensor

from trunkline.metrics import METRICS
from trunkline.tasks import LabelFacts, Task


def check_task(build: Callable[[str], Task], labels: Tensor) -> None:
    """Hold a task kind to its contract.

    Args:
        build: from a name to a task of the kind, as a config would make it.
        labels: `[N]` float64, a few that the kind can have.

    Raises:
        AssertionError: a property that does not hold.
    """
    labels = labels.double()
    levels = tuple(sorted({float(one) for one in labels.tolist()}))
    logs = labels[labels > 0].log()
    facts = LabelFacts(
        rows=len(labels),
        mean=float(labels.mean()),
        std=float(labels.std(correction=0)),
        log_mean=float(logs.mean()) if len(logs) else 0.0,
        log_std=float(logs.std(correction=0)) if len(logs) else 0.0,
        levels=levels if build("t").leveled else (),
    )
    task = build("t").learn(facts)
    label = torch.tensor([levels.index(float(one)) for one in labels], dtype=torch.float64) if task.leveled else labels
    _says_what_it_is(task)
    _has_losses(task, label)
    _has_gradients(task, label)
    _has_estimates_and_signals(task, len(label))
    _comes_back_from_json(build, task)


def _raw(task: Task, rows: int, *, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(rows, task.outputs, generator=generator, dtype=torch.float64)


def _says_what_it_is(task: Task) -> None:
    unknown = [name for name in task.metrics if name not in METRICS]
    assert not unknown, f"metrics {', '.join(unknown)} are none of trunkline's"
    assert task.headline in task.metrics, f"the headline {task.headline} is none of its metrics"
    assert METRICS[task.headline].higher_is_better, f"the headline {task.headline} must be better when it is higher"
    assert task.rule, "rule says nothing of what a label is"


def _has_losses(task: Task, label: Tensor) -> None:
    assert bool(task.allowed(label).all()), f"allowed refuses labels that were given: {label.tolist()}"
    for scale in (0.0, 1.0, 1e4):
        for dtype in (torch.float32, torch.float64):
            raw = _raw(task, len(label), scale=scale).to(dtype)
            loss = task.loss(raw, label.to(dtype))
            assert loss.shape == label.shape, f"losses of shape {tuple(loss.shape)} for {len(label)} rows"
            assert loss.dtype == dtype, f"losses in {loss.dtype} for raw outputs in {dtype}"
            assert loss.isfinite().all(), f"a loss that is not finite at raw outputs around {scale:g} in {dtype}"
            rounding = 1e3 * torch.finfo(dtype).eps * (1 + scale)
            assert bool((loss >= -rounding).all()), f"a loss of {float(loss.min()):g}; it must be 0 or more"


def _has_gradients(task: Task, label: Tensor) -> None:
    raw = _raw(task, len(label), scale=0.7).requires_grad_()
    right = torch.autograd.gradcheck(lambda raw: task.loss(raw, label), (raw,), raise_exception=False)
    assert right, "the gradient of the loss is not what finite differences say"


def _has_estimates_and_signals(task: Task, rows: int) -> None:
    raw = _raw(task, rows)
    estimate, signal = task.estimate(raw), task.signal(raw)
    assert estimate.shape[0] == rows, f"estimates of shape {tuple(estimate.shape)} for {rows} rows"
    assert estimate.isfinite().all(), "an estimate that is not finite"
    wanted = (rows, task.signal_width)
    assert signal.shape == wanted, f"a signal of shape {tuple(signal.shape)}; signal_width says {wanted}"
    assert task.signal(_raw(task, rows, scale=1e4)).isfinite().all(), (
        "a signal that is not finite at raw outputs of 1e4"
    )
    ends = task.interval(raw)
    if ends is not None:
        assert bool((ends[0] <= ends[1]).all()), "an interval whose ends are the wrong way round"
    for suffix, values in task.details(raw).items():
        assert values.shape == (rows,), f"{suffix} has shape {tuple(values.shape)} for {rows} rows"


def _comes_back_from_json(build: Callable[[str], Task], task: Task) -> None:
    plain = json.loads(json.dumps(task.learned(), allow_nan=False))
    assert build("t").with_learned(plain) == task, "what training rows taught does not come back from JSON"
