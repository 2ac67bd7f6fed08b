"""Schemas of what a run wrote down for its page: a folder may come from anybody."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, final

from pydantic import AfterValidator, TypeAdapter, ValidationError

from trunkline.errors import UserError

Numbers = dict[str, float | None]


@final
@dataclass
class _Metrics:
    epochs: int
    selected_epoch: int | None
    select: str
    parameters: int
    train_seconds: float
    rows_per_second: float | None = None
    valid: dict[str, Numbers] = field(default_factory=dict)
    test: dict[str, Numbers] = field(default_factory=dict)
    train: dict[str, Numbers] = field(default_factory=dict)
    uncalibrated: dict[str, dict[str, Numbers]] = field(default_factory=dict)


@final
@dataclass
class _Labels:
    observed: int
    mean: float | None


@final
@dataclass
class _Roc:
    false: list[float]
    true: list[float]


@final
@dataclass
class _PrecisionRecall:
    recall: list[float]
    precision: list[float]
    base: float


@final
@dataclass
class _Groups:
    estimate: Annotated[list[float], AfterValidator(lambda groups: _some(groups))]
    label: list[float]
    error: list[float]
    rows: list[int]


@final
@dataclass
class _Histogram:
    edges: list[float]
    rows: list[float]


@final
@dataclass
class _Drawn:
    roc: _Roc = field(default_factory=lambda: _Roc([], []))
    precision_recall: _PrecisionRecall | None = None
    calibration: _Groups = field(default_factory=lambda: _Groups([0.0], [], [], []))
    lift: list[float] | None = None
    residuals: _Histogram = field(default_factory=lambda: _Histogram([], []))
    confusion: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.roc.true and self.precision_recall is None:
            raise ValueError("roc without precision_recall")


@final
@dataclass
class _Curves:
    rows: dict[str, int]
    labels: dict[str, dict[str, _Labels]]
    valid: dict[str, _Drawn] = field(default_factory=dict)
    test: dict[str, _Drawn] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if set(self.rows) - set(self.labels) or len({tuple(of) for of in self.labels.values()}) > 1:
            raise ValueError("labels that are not those of the same tasks in every part")


@final
@dataclass
class _Column:
    name: str
    kind: str
    mean: float | list[float] = 0.0
    std: float | list[float] = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.mean, float) and not isinstance(self.std, float):
            raise ValueError("a mean without its std")


@final
@dataclass
class _Encoder:
    columns: list[_Column]


@final
@dataclass
class _Gate:
    entropy: float | None
    use: Numbers


@final
@dataclass
class _Line:
    step: int
    epoch: int = 0
    losses: Numbers = field(default_factory=dict)
    weights: Numbers = field(default_factory=dict)
    sigma: Numbers | None = None
    gradient_norms: Numbers | None = None
    fork_weights: Numbers | None = None
    lr: Numbers | None = None
    updates: Numbers | None = None
    cosines: list[list[float | None]] | None = None
    gates: dict[str, _Gate] | None = None
    valid: dict[str, Numbers] | None = None

    def __post_init__(self) -> None:
        if any(loss is not None and self.weights.get(name) is None for name, loss in self.losses.items()):
            raise ValueError("a loss without its weight")
        if self.cosines is not None and any(len(row) != len(self.cosines) for row in self.cosines):
            raise ValueError("cosines that are no square")


def _some(groups: list[float]) -> list[float]:
    if not groups:
        raise ValueError("no group")
    return groups


_KEPT: dict[str, TypeAdapter[Any]] = {
    "metrics.json": TypeAdapter(_Metrics),
    "curves.json": TypeAdapter(_Curves),
    "encoder.json": TypeAdapter(_Encoder),
}
_LINES = TypeAdapter(list[_Line])


def check_run_files(found: dict[str, Any], path: Path) -> None:
    """Refuse what a run did not write.

    Args:
        found: what the file holds.
        path: the file.

    Raises:
        UserError: anything of another type, or missing.
    """
    columns = found.get("columns")
    if isinstance(columns, list) and all(isinstance(column, dict) for column in columns):
        # a vocabulary is long, and no more than counted
        found = {"columns": [{key: value for key, value in column.items() if key != "ids"} for column in columns]}
    _check(_KEPT[path.name], found, path)


def check_lines(lines: Sequence[Any], path: Path) -> None:
    """Refuse a history that no training wrote.

    Args:
        lines: of the history.
        path: the file.

    Raises:
        UserError: anything in them of another type, or missing.
    """
    _check(_LINES, lines, path)


def _check(kept: TypeAdapter[Any], found: Any, path: Path) -> None:
    try:
        kept.validate_json(json.dumps(found), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "all of it"
        message = first["msg"][0].lower() + first["msg"][1:]
        raise UserError(f"{path} holds what no run writes: {where}: {message}; ask for the folder again") from None
