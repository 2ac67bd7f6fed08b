"""Calibration: estimates corrected on the validation rows after the training."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, final

import numpy as np
import torch
from torch import Tensor

from trunkline.errors import Problems, UserError
from trunkline.runs.files import write_json
from trunkline.tasks import Binary, Multiclass, Task
from trunkline.untrusted import read_json

WIDEST = 12.0
"""|log factor| beyond which a temperature is not sought: rows told apart perfectly would send it to infinity."""


class Calibrator(Protocol):
    """From a task's raw outputs to corrected ones."""

    kind: ClassVar[str]
    tasks: ClassVar[tuple[type[Task], ...]]
    """The kinds of task that it can correct."""

    @classmethod
    def fit(cls, task: Task, raw: Tensor, label: Tensor, weight: Tensor) -> Self:
        """The correction under which labels `[N]` are most likely, given raw `[N, outputs]` and row weights `[N]`."""

    def __call__(self, raw: Tensor) -> Tensor:
        """Raw outputs `[N, outputs]` -> the same."""


@final
@dataclass(frozen=True)
class Temperature:
    """Logits times one factor (Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv 1706.04599).

    It makes estimates more or less sure of themselves and leaves their order, and the most probable class, as it is.

    Attributes:
        factor: 1/temperature, above 0.

    Raises:
        UserError: another factor.
    """

    factor: float

    kind: ClassVar[str] = "temperature"
    tasks: ClassVar[tuple[type[Task], ...]] = (Binary, Multiclass)

    def __post_init__(self) -> None:
        if isinstance(self.factor, bool) or not 0 < self.factor < math.inf:
            raise UserError(f"factor {self.factor}: it must be above 0 and finite")

    @classmethod
    def fit(cls, task: Task, raw: Tensor, label: Tensor, weight: Tensor) -> Self:
        """The factor with the least log loss: the root of a derivative that rises with the factor."""
        raw = raw.double()

        def slope(log_factor: float) -> float:
            factor = torch.tensor(log_factor, dtype=torch.float64).exp().requires_grad_()
            loss = (task.loss(raw * factor, label.double()) * weight.double()).sum()
            return float(torch.autograd.grad(loss, factor)[0])

        low, high = -WIDEST, WIDEST
        with torch.enable_grad():
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        return cls(float(np.exp((low + high) / 2)))

    def __call__(self, raw: Tensor) -> Tensor:
        """Raw outputs `[N, outputs]` -> the same, times the factor."""
        return raw * self.factor


@final
@dataclass(frozen=True)
class Platt:
    """Logits times a factor, plus a shift: it corrects what is too high or too low in sum as well.

    Platt 1999, Probabilistic Outputs for Support Vector Machines, with the labels of his §2.2, (n1 + 1)/(n1 + 2) and
    1/(n0 + 2) instead of 1 and 0, under which rows told apart perfectly have a best line too.

    Attributes:
        factor: above 0.
        shift: of the logits.

    Raises:
        UserError: others.
    """

    factor: float
    shift: float

    kind: ClassVar[str] = "platt"
    tasks: ClassVar[tuple[type[Task], ...]] = (Binary,)

    def __post_init__(self) -> None:
        if isinstance(self.factor, bool) or not 0 < self.factor < math.inf:
            raise UserError(f"factor {self.factor}: it must be above 0 and finite")
        if isinstance(self.shift, bool) or not math.isfinite(self.shift):
            raise UserError(f"shift {self.shift}: it must be finite")

    @classmethod
    def fit(cls, task: Task, raw: Tensor, label: Tensor, weight: Tensor) -> Self:
        """The line of least log loss, by Newton's method."""
        logits, weights = raw[:, 0].double().numpy(), weight.double().numpy()
        positive = label.double().numpy() > 0
        weights = weights / weights.mean()
        above, below = float(weights[positive].sum()), float(weights[~positive].sum())
        target = np.where(positive, (above + 1) / (above + 2), 1 / (below + 2))
        middle, spread = float(logits.mean()), float(logits.std()) or 1.0
        design = np.stack([(logits - middle) / spread, np.ones_like(logits)])
        factor, shift = _line(design, target, weights)
        if factor / spread < math.exp(-WIDEST):  # misled: the rows are called even
            (shift,) = _line(design[1:], target, weights)
            factor = spread * math.exp(-WIDEST)
        slope = float(factor) / spread
        return cls(slope, float(shift) - slope * middle)

    def __call__(self, raw: Tensor) -> Tensor:
        """Logits `[N, 1]` -> corrected ones."""
        return raw * self.factor + self.shift


def _line(design: np.ndarray, target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficients `[k]` of a logistic regression on `[k, N]`, which has a finite best one."""

    def loss(way: np.ndarray) -> float:
        logits = way @ design
        return float((weights * (np.logaddexp(0, logits) - target * logits)).mean())

    found = np.zeros(len(design))
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(found @ design, -700, 700)))
        slope = design @ (weights * (p - target)) / len(target)
        bend = (design * (weights * p * (1 - p))) @ design.T / len(target)
        step = np.linalg.lstsq(bend, slope, rcond=None)[0]
        share = 1.0
        while share > 1e-6 and loss(found - share * step) > loss(found):
            share /= 2
        found = found - share * step
        if float(np.abs(share * step).max()) < 1e-12:
            break
    return found


@final
@dataclass(frozen=True)
class Isotonic:
    """The rising step function from logits to probabilities that fits best, drawn through its steps' ends.

    Zadrozny and Elkan 2002, Transforming Classifier Scores into Accurate Multiclass Probability Estimates. scikit-learn
    fits it. Probabilities end at 1/(n+2) and 1 - 1/(n+2) for n validation rows, as n rows can tell no more (Laplace's
    rule of succession); beyond the logits seen there the function is constant.

    Attributes:
        logits: `[K]` rising.
        corrected: `[K]` the corrected logits there.

    Raises:
        UserError: none of them, or not as many of one as of the other; logits that do not rise.
    """

    logits: tuple[float, ...]
    corrected: tuple[float, ...]

    kind: ClassVar[str] = "isotonic"
    tasks: ClassVar[tuple[type[Task], ...]] = (Binary,)

    def __post_init__(self) -> None:
        if not all(isinstance(one, float) and math.isfinite(one) for one in (*self.logits, *self.corrected)):
            raise UserError("logits and corrected ones must be finite numbers")
        rising = bool((np.diff(self.logits) > 0).all() and (np.diff(self.corrected) >= 0).all())
        if not self.logits or len(self.logits) != len(self.corrected) or not rising:
            raise UserError(f"{len(self.logits)} logits for {len(self.corrected)} corrected ones: as many, and rising")

    @classmethod
    def fit(cls, task: Task, raw: Tensor, label: Tensor, weight: Tensor) -> Self:
        """The least squares fit to labels 0 and 1.

        Raises:
            UserError: scikit-learn is not installed.
        """
        fitted = _isotonic_regression(task)(out_of_bounds="clip")
        fitted.fit(raw[:, 0].double().numpy(), label.double().numpy(), sample_weight=weight.double().numpy())
        least = 1 / (len(label) + 2)
        p = np.clip(fitted.y_thresholds_, least, 1 - least)
        return cls(tuple(fitted.X_thresholds_.tolist()), tuple((np.log(p) - np.log1p(-p)).tolist()))

    def __call__(self, raw: Tensor) -> Tensor:
        """Logits `[N, 1]` -> corrected ones."""
        corrected = np.interp(raw.double().cpu().numpy(), self.logits, self.corrected)
        return torch.from_numpy(corrected).to(raw)


def _isotonic_regression(task: Task) -> Any:
    """The class of scikit-learn."""
    try:
        from sklearn.isotonic import IsotonicRegression
    except ImportError as error:
        raise UserError(
            f"task {task.name}: calibrate isotonic needs scikit-learn ({error}); pip install 'trunkline[calibration]'"
        ) from error
    return IsotonicRegression


CALIBRATORS: dict[str, type[Temperature] | type[Platt] | type[Isotonic]] = {
    kind.kind: kind for kind in (Temperature, Platt, Isotonic)
}
"""The corrections a config can name, beside `none`."""
Calibrators = Mapping[str, Calibrator]


def check_calibration(asked: Mapping[str, str], tasks: Sequence[Task], *, valid: bool) -> None:
    """Refuse what cannot be calibrated.

    Args:
        asked: by task, `none` or a name in `CALIBRATORS`.
        tasks: the tasks.
        valid: whether there will be validation rows.

    Raises:
        UserError: a kind of task that the correction does not suit, no validation rows, scikit-learn that is not
            installed; all of them.
    """
    problems = Problems()
    for task in tasks:
        kind = asked.get(task.name, "none")
        if kind == "none":
            continue
        fits = [name for name, calibrator in CALIBRATORS.items() if isinstance(task, calibrator.tasks)]
        if kind not in fits:
            problems.add(
                f"tasks.{task.name}.calibrate: {kind} does not suit a {task.kind} task; for it there is "
                f"{' and '.join(fits) or 'none'}"
            )
        elif not valid:
            problems.add(f"tasks.{task.name}.calibrate: {kind} needs validation rows; give data.valid or a split")
        if kind == Isotonic.kind:
            with problems.collect():
                _isotonic_regression(task)
    problems.raise_if_any()


def fit_calibrators(
    asked: Mapping[str, str],
    tasks: Sequence[Task],
    raws: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> dict[str, Calibrator]:
    """The corrections asked for, fitted to observed rows.

    A task without one is left as it is, and so is one whose labels are all the same there: they say nothing of how sure
    estimates may be.

    Args:
        asked: by task, `none` or a name in `CALIBRATORS`.
        tasks: the tasks.
        raws: `{task: [N, outputs]}`, of a task with a `space` joint.
        labels: `{task: [N]}`.
        weights: `{task: [N]}` of the tasks that have them.
    """
    found: dict[str, Calibrator] = {}
    for task in tasks:
        kind, label = asked.get(task.name, "none"), labels[task.name]
        weight = weights.get(task.name, torch.ones_like(label))
        observed = ~label.isnan() & (weight > 0)
        if kind != "none" and observed.any() and bool((label[observed] != label[observed][0]).any()):
            fit: Callable[..., Calibrator] = CALIBRATORS[kind].fit
            found[task.name] = fit(task, raws[task.name][observed], label[observed], weight[observed])
        elif kind != "none":
            logging.getLogger("trunkline").warning(
                "task %s is not calibrated: its validation rows have labels of one class, or none", task.name
            )
    return found


def write_calibrators(path: Path, calibrators: Calibrators) -> None:
    """Write them as JSON, whole or not at all."""
    plain = {name: {"kind": one.kind, **vars(one)} for name, one in calibrators.items()}
    write_json(path, plain)


def read_calibrators(path: Path) -> dict[str, Calibrator]:
    """What `write_calibrators` wrote.

    Raises:
        UserError: the file is missing or damaged.
    """
    calibrators: dict[str, Calibrator] = {}
    read = read_json(path)
    try:
        for name, values in read.items():
            plain = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "kind"}
            make: Callable[..., Calibrator] = CALIBRATORS[values["kind"]]
            calibrators[name] = make(**plain)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    return calibrators


def check_calibrators(calibrators: Calibrators, tasks: Sequence[Task], *, name: str) -> None:
    """Refuse corrections of other tasks.

    Args:
        calibrators: as read.
        tasks: of the run.
        name: of the file, for messages.

    Raises:
        UserError: a task that is not there, or of a kind that its correction does not suit; all of them.
    """
    problems, kinds = Problems(), {task.name: type(task) for task in tasks}
    for task, made in calibrators.items():
        if task not in kinds:
            problems.add(f"{name} corrects {task!r}, which is none of the tasks {', '.join(kinds)}")
        elif not issubclass(kinds[task], made.tasks):
            problems.add(f"{name} corrects {task} by {made.kind}, which does not suit a {kinds[task].kind} task")
    problems.raise_if_any()
