"""Reading a run folder for a report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.insight.diagnosis.record import read_record
from trunkline.insight.quality.task_quality import TaskQuality
from trunkline.report.insight import Insight, read_insight
from trunkline.report.run_schema import check_lines, check_run_files
from trunkline.runs.artifacts import MOST
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import read_history
from trunkline.untrusted import read_json, refuse_links_out


@final
@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, finished or not.

    Attributes:
        path: of its folder.
        config: as resolved.
        lines: of the history, those of steps.
        epochs: of the history, those of epochs.
        metrics: `metrics.json`; empty where the run has not ended.
        curves: `curves.json`; likewise.
        columns: what the encoder knows of each feature column.
        insight: what was found in it, and what its features are worth; None where nobody has asked.
        quality: of each task beside a linear model, as the end of its training left it; empty where nobody looked.
    """

    path: Path
    config: Config
    lines: list[dict[str, Any]]
    epochs: list[dict[str, Any]]
    metrics: dict[str, Any]
    curves: dict[str, Any]
    columns: list[dict[str, Any]]
    insight: Insight | None = None
    quality: Mapping[str, TaskQuality] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of its folder."""
        return self.path.name

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks."""
        return list(self.config.tasks)

    @property
    def part(self) -> str | None:
        """The part whose curves are drawn: test, or else validation."""
        return next((part for part in ("test", "valid") if part in self.curves), None)

    def series(self, key: str) -> dict[str, tuple[list[int], list[float]]]:
        """`{name: (steps, values)}` of what every line holds under a key by name, without what is not known."""
        found: dict[str, tuple[list[int], list[float]]] = {}
        for line in self.lines:
            for name, value in (line.get(key) or {}).items():
                if value is not None:
                    steps, values = found.setdefault(name, ([], []))
                    steps.append(line["step"])
                    values.append(value)
        return found


def read_run(path: str | Path) -> Run:
    """A run folder.

    Raises:
        UserError: no run lies there, or its files cannot be read.
    """
    folder = RunFolder(Path(path))
    if not folder.config.exists():
        raise UserError(f"{path} is no run folder: {folder.config.name} is missing")
    history = read_history(folder.history)
    if not history:
        raise UserError(f"{path} has no history yet: it is written every training.log_every steps and every epoch")
    check_lines(history, folder.history)
    config = Config.make(folder.config)
    record = read_record(Path(path), config.tasks)
    return Run(
        path=Path(path).resolve(),
        config=config,
        lines=[line for line in history if "losses" in line],
        epochs=[line for line in history if "valid" in line],
        metrics=_json(folder.metrics),
        curves=_json(folder.curves),
        columns=list(_json(folder.encoder).get("columns", [])),
        insight=read_insight(Path(path)),
        quality={} if record is None else record.tasks,
    )


def _json(path: Path) -> dict[str, Any]:
    refuse_links_out(path.parent)
    if not path.exists():
        return {}
    found = read_json(path, most=MOST)
    if not isinstance(found, dict):
        raise UserError(f"{path} holds {type(found).__name__}; it must hold keys")
    check_run_files(found, path)
    return found
