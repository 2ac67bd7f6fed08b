"""The contract of a task: one KPI that the network predicts."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from trunkline.errors import UserError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One KPI: where its label comes from, its likelihood and how it reads other tasks' estimates.

    Attributes:
        name: letters, digits, `_` and `-`; names the tower's subnet (`tower.<name>`) and the estimate's column.
        label: column that holds the label; the name itself when empty. A null (NaN) label is not observed: no
            loss, no gradient, no metric, no influence on the balancer.
        where: name of a binary task; only rows in which it happened count.
        weight: column of row weights (>= 0); they are normalised to mean 1 over the observed rows of a batch.
        reads: tasks whose estimates this task's tower receives as features.
        gradient: `"stop"` keeps this task's loss from reaching the towers it reads, `"flow"` lets it through.

    Raises:
        UserError: a malformed name, reads or gradient.
    """

    name: str
    label: str = ""
    where: str | None = None
    weight: str | None = None
    reads: tuple[str, ...] = ()
    gradient: Literal["stop", "flow"] = "stop"

    kind: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """Metrics to show, by name."""
    headline: ClassVar[str]
    """The metric, higher is better, that stands for the task in a mean over tasks."""
    exponent: ClassVar[float]
    """c in the uncertainty objective exp(-c·s)·L + s/2 with s = log σ²: 1 for a squared error or a temperature."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise UserError(f"task name {self.name!r}: use letters, digits, '_' and '-', starting with a letter or '_'")
        if isinstance(self.reads, str):
            raise UserError(f"task {self.name}: reads is {self.reads!r}; give a tuple: ({self.reads!r},)")
        if self.gradient not in ("stop", "flow"):
            raise UserError(f"task {self.name}: gradient is {self.gradient!r}; it is 'stop' or 'flow'")

    @property
    def column(self) -> str:
        """The label's column."""
        return self.label or self.name

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Raw outputs of the tower for each row."""

    @property
    @abstractmethod
    def signal_width(self) -> int:
        """k in `signal(raw) -> [N, k]`."""

    @abstractmethod
    def loss(self, raw: Tensor, label: Tensor) -> Tensor:
        """Negative log-likelihood of each row in nats, additive constants left out.

        Args:
            raw: `[N, outputs]` float32 or float64.
            label: `[N]` in the label's own unit, without NaN.

        Returns:
            `[N]`, in the dtype of `raw`.
        """

    @abstractmethod
    def estimate(self, raw: Tensor) -> Tensor:
        """`[N]`, or `[N, classes]`, in the label's own unit, from raw outputs `[N, outputs]`."""

    @abstractmethod
    def signal(self, raw: Tensor) -> Tensor:
        """`[N, k]` on an unbounded scale: what a tower that reads this task receives."""
