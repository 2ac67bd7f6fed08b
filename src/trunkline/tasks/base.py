"""The base class of tasks: one KPI that the network predicts."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from trunkline.errors import UserError
from trunkline.tasks.facts import LabelFacts
from trunkline.tasks.names import is_task_name

INTERVAL = 0.9
"""Share of the labels that an interval is meant to hold."""


def word(value: str | float | bool) -> str:
    """How a value stands in a column of text: a number without needless digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.17g}" if isinstance(value, (int, float)) else value


def learned(default: Any) -> Any:
    """A field that the training rows fill in, not the user."""
    return field(default=default, metadata={"learned": True})


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One KPI: where its label comes from, its likelihood and how it reads other tasks' estimates.

    Attributes:
        name: letters and digits of any script, `_` and `-`; names the tower's subnet (`tower.<name>`) and the
            estimate's column.
        label: column that holds the label; the name itself when empty. A null (NaN) label is not observed: no
            loss, no gradient, no metric, no influence on the balancer.
        where: name of a binary task; only rows in which it happened count.
        space: name of a binary task without which this binary one cannot happen: the tower estimates p(this | that),
            the loss is that of p(that)·p(this | that) over all rows (see `tasks.space`).
        meanings: what words and numbers in the label's column stand for, in pairs; None for "missing". Others count as
            they are.
        missing: words and numbers in the label's column that mean "not observed".
        format: how numbers are written in the label's column where it is text, in pairs; see `tables.NumberFormat`.
        weight: column of row weights (>= 0); they are normalised to mean 1 over the observed rows of a batch.
        reads: tasks whose estimates this task's tower receives as features.
        further_metrics: to report beside those of the kind, by name.
        gradient: `"stop"` keeps this task's loss from reaching the towers whose estimates it takes (of `reads` and
            `space`), `"flow"` lets it through.

    Raises:
        UserError: a malformed name, reads or gradient; both `where` and `space`.
    """

    name: str
    label: str = ""
    where: str | None = None
    space: str | None = None
    meanings: tuple[tuple[str, str | float | None], ...] = ()
    missing: tuple[str, ...] = ()
    format: tuple[tuple[str, Any], ...] = ()
    weight: str | None = None
    reads: tuple[str, ...] = ()
    further_metrics: tuple[str, ...] = ()
    gradient: Literal["stop", "flow"] = "stop"

    kind: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """Metrics that every task of the kind reports, by name."""
    headline: ClassVar[str]
    """The metric, higher is better, that stands for the task in a mean over tasks."""
    exponent: ClassVar[float]
    """c in the uncertainty objective exp(-c·s)·L + s/2 with s = log σ²: 1 for a squared error or a temperature, ½ for
    an absolute error."""
    rule: ClassVar[str]
    """What a label is, for the message to who has another."""
    residual_scale: ClassVar[bool] = False
    """Whether the noise has no width in the likelihood, so that the run measures it on the validation rows."""
    leveled: ClassVar[bool] = False
    """Whether labels are levels (text or numbers) that the tables turn into places 0, 1, …"""

    def __post_init__(self) -> None:
        if not is_task_name(self.name):
            raise UserError(f"task name {self.name!r}: use letters, digits, '_' and '-', not '-' first")
        if isinstance(self.reads, str):
            raise UserError(f"task {self.name}: reads is {self.reads!r}; give a tuple: ({self.reads!r},)")
        if self.gradient not in ("stop", "flow"):
            raise UserError(f"task {self.name}: gradient is {self.gradient!r}; it is 'stop' or 'flow'")
        if self.where is not None and self.space is not None:
            raise UserError(
                f"task {self.name}: where {self.where!r} and space {self.space!r}; a task is trained on the rows in "
                "which the other happened (where), or on all rows (space)"
            )

    @property
    def column(self) -> str:
        """The label's column."""
        return self.label or self.name

    @property
    def reported(self) -> tuple[str, ...]:
        """Metrics to report, by name."""
        return tuple(dict.fromkeys([*self.metrics, *self.further_metrics]))

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
        """Negative log-likelihood of each row in nats, up to additive constants chosen so that it is 0 or more.

        Args:
            raw: `[N, outputs]` float32 or float64.
            label: `[N]` in the label's own unit, without NaN; places 0, 1, … of a leveled kind.

        Returns:
            `[N]`, in the dtype of `raw`.
        """

    @abstractmethod
    def estimate(self, raw: Tensor) -> Tensor:
        """`[N]`, or `[N, classes]`, in the label's own unit, from raw outputs `[N, outputs]`."""

    @abstractmethod
    def signal(self, raw: Tensor) -> Tensor:
        """`[N, k]` on an unbounded scale: what a tower that reads this task receives."""

    @abstractmethod
    def interval(self, raw: Tensor) -> tuple[Tensor, Tensor] | None:
        """The ends `[N]` of what is meant to hold `INTERVAL` of the labels; None where the likelihood has no width.

        A `Quantile` gives its outermost levels, whatever they enclose.
        """

    @abstractmethod
    def details(self, raw: Tensor) -> dict[str, Tensor]:
        """What a prediction shows beside the estimate: `[N]` each, by the suffix of its column."""

    @abstractmethod
    def allowed(self, label: Tensor) -> Tensor:
        """Which labels `[N]`, finite and not NaN, the likelihood can have: `[N]` boolean; `rule` says it in words."""

    @abstractmethod
    def learn(self, facts: LabelFacts) -> Self:
        """The same task in the units of the training rows.

        Raises:
            UserError: training labels from which there is nothing to learn.
        """

    def learned(self) -> dict[str, Any]:
        """What training rows have filled in, as plain values."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata.get("learned")}

    def with_learned(self, values: Mapping[str, Any]) -> Self:
        """The same task with what `learned` gave, after a way through JSON too."""
        known = {f.name for f in fields(self) if f.metadata.get("learned")}
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        return replace(self, **{name: plain[name] for name in known})
