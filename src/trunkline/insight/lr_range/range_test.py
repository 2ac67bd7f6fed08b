"""A learning-rate range test of each subnet by itself, the others held at their rates."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.insight.lr_range.curve import Floats, read_sweep, smooth
from trunkline.insight.lr_range.held import held_rates, last_third, read_held
from trunkline.insight.lr_range.sweeps import Ranges, Sweep
from trunkline.insight.short_run import ShortRun, first_batches
from trunkline.nn.embedding import Embedding
from trunkline.nn.per_task_embedding import PerTaskEmbedding
from trunkline.optim.param_groups import BALANCE
from trunkline.optim.schedules import Constant

STEPS, LOW, HIGH = 100, 1e-6, 1.0
EMBEDDING = "embedding"
START = 10
"""Steps of the control whose mean loss stands for the loss at the start: one batch has too much noise."""


def lr_range(
    config: Config | Mapping[str, Any] | str | Path,
    *,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    steps: int = STEPS,
    low: float = LOW,
    high: float = HIGH,
    overrides: Mapping[str, Any] | None = None,
    on_sweep: Callable[[str], None] | None = None,
) -> Ranges:
    """Learning-rate range test: each subnet's rate goes from low to high while the others learn at theirs.

    Every sweep starts from the same network and takes the same batches, and is held against a control that has all
    rates as they are configured; schedules are left out. A subnet is judged by the loss of the task that it belongs
    to, a shared one by the mean over tasks of the loss over its value at the start. See `read_sweep` for the
    suggestion. `embedding` trains anew at each of a few rates instead, since ids come back too rarely for a sweep in
    time: see `read_held`. Cost: (subnets + 1) · steps, and with a table of ids 8 times steps more.

    Args:
        config: a YAML file, a mapping or a `Config`.
        train: training rows as a polars or pandas frame, instead of the config's files.
        valid: validation rows, likewise; they are not looked at.
        test: test rows, likewise.
        steps: of each sweep.
        low: where the rates begin.
        high: where they end.
        overrides: config values by dotted path.
        on_sweep: called with the name of each subnet before its sweep, and of the control.

    Raises:
        UserError: what is wrong with config and rows; fewer than 20 steps; rates that do not rise from above 0; a loss
            that is not a number at the configured rates.

    Examples:
        >>> import polars as pl
        >>> rows = pl.DataFrame({"x": [0.0, 1.0] * 200, "click": [0, 1] * 200, "buy": [0, 1, 0, 0] * 100})
        >>> config = {"tasks": {"click": "binary", "buy": "binary"}, "training": {"batch_size": 50}}
        >>> sorted(lr_range(config, train=rows, steps=20).sweeps)
        ['shared', 'tower.buy', 'tower.click']
    """
    if steps < 20 or not 0 < low < high:
        raise UserError(
            f"steps {steps}, rates from {low:g} to {high:g}: at least 20 steps, and rates that rise from above 0"
        )
    given = {"train": train, "valid": valid, "test": test}
    trial = ShortRun.make(Config.make(config, overrides=overrides), given)
    rates = np.geomspace(low, high, steps)
    names = [task.name for task in trial.data.labels.tasks]
    told = on_sweep or (lambda name: None)
    told("all subnets at their rates")
    configured, control = _losses(trial, None, rates)
    if len(control) < steps:
        raise UserError(
            f"a loss was not a number at step {len(control)}, at the rates as configured; lower optimizer.lr"
        )
    start = _mean(control[: min(START, steps)])
    sweeps, skipped = dict[str, Sweep](), dict[str, str]()
    for subnet, rate in configured.items():
        if subnet == BALANCE:
            skipped[subnet] = "it weighs the losses, which are then no measure of it"
        elif rate == 0:
            skipped[subnet] = "it is frozen"
        else:
            of = [t for t, name in enumerate(names) if subnet.endswith(f".{name}")] or list(range(len(names)))
            serves = tuple(names[t] for t in of)
            told(subnet)
            mine = _served(control, start, of)
            if _of_ids(subnet):
                each = held_rates(low, high)
                trainings = [_served(_losses(trial, subnet, np.full(steps, one))[1], start, of) for one in each]
                sweeps[subnet] = _held(subnet, rate, serves, each, trainings, mine)
            else:
                losses = _served(_losses(trial, subnet, rates)[1], start, of)
                sweeps[subnet] = _swept(subnet, rate, serves, rates, losses, mine)
    back = _come_back(trial, steps) if any(map(_of_ids, sweeps)) else 1.0
    return Ranges(sweeps, skipped, trial.config, steps / len(trial.batches("train")), back)


def _losses(trial: ShortRun, subnet: str | None, rates: Floats) -> tuple[dict[str, float], Floats]:
    """The configured rate of each subnet; each task's loss `[n, T]` after a step at each of a subnet's rates.

    NaN stands for a task without an observed row. It ends before the first step whose loss was no number.
    """
    losses = list[list[float]]()
    with trial.started() as loop:
        groups = [group for optimizer in loop.state.optimizers for group in optimizer.param_groups]
        configured = {group["name"]: float(group["base_lr"]) for group in groups}
        for group in groups:
            group["schedule"] = Constant()
        for step, batch in enumerate(first_batches(loop, len(rates) + 1)):
            for group in groups:
                if group["name"] == subnet:
                    group["base_lr"] = float(rates[min(step, len(rates) - 1)])
            found, active = loop.step(batch)
            if not bool(found.isfinite().all()):
                break
            if step:  # a batch shows what the steps before it have done
                losses.append(torch.where(active, found.double(), torch.nan).tolist())
    return configured, np.array(losses, dtype=np.float64).reshape(-1, len(trial.data.labels.tasks))


def _mean(losses: Floats) -> Floats:
    """The mean over steps `[T]`, above 0; 1 for a task that was in none of them."""
    known = np.isfinite(losses)
    mean = np.where(known, losses, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return np.asarray(np.where(mean > 0, mean, 1.0))


def _served(losses: Floats, start: Floats, tasks: Sequence[int]) -> Floats:
    """The mean over some tasks of the loss over its value at the start `[n]`; NaN where none was in the batch."""
    shares = losses[:, tasks] / start[tasks]
    known = np.isfinite(shares)
    total, count = np.where(known, shares, 0.0).sum(1), known.sum(1)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def _of_ids(subnet: str) -> bool:
    """Whether a subnet holds tables of ids, all tasks' or one task's."""
    return subnet.partition(".")[0] == EMBEDDING


def _come_back(trial: ShortRun, steps: int) -> float:
    """Of the ids in the steps that held rates are judged by, the share that earlier ones had; the least of all tables.

    Only those show what a rate has done to them.
    """
    with trial.started() as loop:
        embedding, judged = loop.network.embedding, last_third(np.empty(steps))
        if isinstance(embedding, PerTaskEmbedding):  # all look up the same
            (embedding, *_) = (one for one in embedding.embeddings if isinstance(one, Embedding))
        seen = [torch.zeros(len(table), dtype=torch.bool) for table in embedding.in_order()]
        known, count = [0] * len(seen), [0] * len(seen)
        for step, batch in enumerate(first_batches(loop, steps + 1)):
            for i, found in enumerate(embedding.plan_lookups(batch.ids, batch.lists, every=True)):
                assert found is not None
                rows = found.rows.cpu()
                if step > judged.start:  # the first batch shows what no step has done
                    known[i], count[i] = known[i] + int(seen[i][rows].sum()), count[i] + len(rows)
                seen[i][rows] = True
    return min((k / c for k, c in zip(known, count, strict=True) if c), default=1.0)


def _held(
    subnet: str, rate: float, serves: tuple[str, ...], rates: Floats, trainings: Sequence[Floats], control: Floats
) -> Sweep:
    end, whole = last_third(control), len(control)
    means = [float(np.nanmean(one[end])) if len(one) == whole else None for one in trainings]
    return Sweep(
        subnet=subnet,
        configured=rate,
        serves=serves,
        rates=tuple(rates.tolist()),
        losses=tuple(means),
        control=(float(np.nanmean(control[end])),) * len(rates),
        reading=read_held(rates, trainings, control, configured=rate),
        held=True,
    )


def _swept(subnet: str, rate: float, serves: tuple[str, ...], rates: Floats, losses: Floats, control: Floats) -> Sweep:
    shown: list[float | None] = [float(loss) if np.isfinite(loss) else None for loss in smooth(losses)]
    return Sweep(
        subnet=subnet,
        configured=rate,
        serves=serves,
        rates=tuple(rates.tolist()),
        losses=(*shown, *[None] * (len(rates) - len(losses))),
        control=tuple(np.nan_to_num(smooth(control)).tolist()),
        reading=read_sweep(rates, losses, control, configured=rate),
    )
