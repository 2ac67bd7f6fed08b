"""Model summary: what a model says of itself, in a line or as a small table of HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Self, final

from trunkline.errors import UserError
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import read_history
from trunkline.tasks import Task
from trunkline.untrusted import read_json

PARTS = {"valid": "validation rows", "test": "test rows", "train": "training rows, optimistic"}
"""Parts in the order in which they are shown, the first that was scored, and what to call them."""


@final
@dataclass(frozen=True, kw_only=True)
class Summary:
    """The tasks of a run, and the scores of its selected epoch.

    Attributes:
        path: the run folder.
        tasks: the tasks.
        scores: `{task: {metric: value}}` of the part; empty where none was scored.
        told: which rows they are taken over, and of which epoch; empty without scores.
    """

    path: Path
    tasks: Sequence[Task]
    scores: Mapping[str, Any]
    told: str

    @classmethod
    def of(cls, path: Path, tasks: Sequence[Task]) -> Self:
        """What a run's files say of its model; nothing of scores where they cannot be read."""
        run = RunFolder(path)
        try:
            metrics = read_json(run.metrics) if run.metrics.exists() else _from_history(run)
        except UserError:
            metrics = {}
        scored = metrics if isinstance(metrics, dict) else {}
        part = next((part for part in PARTS if isinstance(scored.get(part), dict)), None)
        if part is None:
            return cls(path=path, tasks=tasks, scores={}, told="")
        epoch = scored.get("selected_epoch")
        told = PARTS[part] + (f", epoch {epoch} of {scored.get('epochs')}" if isinstance(epoch, int) else "")
        return cls(path=path, tasks=tasks, scores=scored[part], told=told)

    def value(self, task: Task) -> float | None:
        """A task's headline score."""
        scores = self.scores.get(task.name)
        found = scores.get(task.headline) if isinstance(scores, dict) else None
        return float(found) if isinstance(found, (int, float)) else None

    def text(self) -> str:
        """`Model of runs/feed: click (binary, auc 0.742), … [validation rows, epoch 3 of 5]`."""
        told = []
        for task in self.tasks:
            value = self.value(task)
            told.append(f"{task.name} ({task.kind}{'' if value is None else f', {task.headline} {value:.3f}'})")
        return f"Model of {self.path}: {', '.join(told)}{f' [{self.told}]' if self.told else ''}"

    def html(self) -> str:
        """The same as a table, a row a task."""
        cells = []
        for task in self.tasks:
            value, scores = self.value(task), self.scores.get(task.name)
            rows = scores.get("rows") if isinstance(scores, dict) else None
            score = "–" if value is None else f"{task.headline.replace('_', ' ')} {value:.4f}"
            counted = f"{rows:,}" if isinstance(rows, int) else "–"
            cells.append([task.name, task.kind, score, counted])
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in cells)
        head = "".join(f"<th>{name}</th>" for name in ("task", "kind", "score", "rows"))
        told = f"; {escape(self.told)}" if self.told else ""
        return (
            f"<div>Model of {escape(str(self.path))}{told}</div>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        )


def _from_history(run: RunFolder) -> dict[str, Any]:
    """Scores of the best epoch so far of a run that has not ended."""
    epochs = [line for line in read_history(run.history) if "valid" in line]
    best = [line for line in epochs if line.get("best") is True and type(line.get("epoch")) is int]
    return {"valid": best[-1]["valid"], "selected_epoch": best[-1]["epoch"] + 1, "epochs": len(epochs)} if best else {}
