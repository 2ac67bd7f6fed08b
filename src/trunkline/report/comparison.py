"""Reading a comparison's folder for a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from trunkline.insight.comparison.result import Comparison, NetworkResult
from trunkline.insight.comparison.variants import name_of
from trunkline.runs.history import read_history

FILE = "comparison.json"


@final
@dataclass(frozen=True, kw_only=True)
class Compared:
    """A comparison.

    Attributes:
        path: of its folder.
        comparison: what it found.
        curves: by task and name of a network `{seed: [score of each epoch]}` on the validation rows, None where it is
            not defined; what has no history is left out.
    """

    path: Path
    comparison: Comparison
    curves: dict[str, dict[str, dict[int, list[float | None]]]]


def is_comparison(path: Path) -> bool:
    """Whether a path is that of a comparison's folder, finished or not, or of the file in it."""
    return path.suffix == ".json" or any((path / name).exists() for name in (FILE, "comparison.yaml"))


def read_comparison(path: str | Path) -> Compared:
    """A comparison, by its folder or its `comparison.json`.

    Raises:
        UserError: it is not there, or holds something else.
    """
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    comparison = Comparison.load(file)
    folder = file.resolve().parent
    return Compared(path=folder, comparison=comparison, curves=_curves(folder / "runs", comparison))


def _curves(runs: Path, comparison: Comparison) -> dict[str, dict[str, dict[int, list[float | None]]]]:
    found: dict[str, dict[str, dict[int, list[float | None]]]] = {task: {} for task in comparison.metrics}
    epochs: dict[Path, list[Mapping[str, Any]]] = {}
    for network in comparison.networks:
        for task, metric in comparison.metrics.items():
            curves = {}
            for seed in comparison.seeds:
                file = runs / _run_of(network, task) / f"seed{seed}" / "history.jsonl"
                if file not in epochs:
                    epochs[file] = _epochs(file)
                scores = [_score(scored.get(task), metric) for scored in epochs[file]]
                if any(score is not None for score in scores):
                    curves[seed] = scores
            if curves:
                found[task][network.name] = curves
    return found


def _run_of(network: NetworkResult, task: str) -> str:
    """The folder of a network, or of the one that learns a task alone, with the setting that it chose."""
    if network.kind != "alone":
        return network.name
    setting = network.overrides.get(task)
    return f"{network.name}.{task},{name_of(setting)}" if setting else f"{network.name}.{task}"


def _epochs(file: Path) -> list[Mapping[str, Any]]:
    """The validation scores after each epoch; nothing where the history is gone, or is another's."""
    try:
        lines = read_history(file)
    except (OSError, ValueError):
        return []
    scored = [line.get("valid") for line in lines if isinstance(line, Mapping)]
    return [scores for scores in scored if isinstance(scores, Mapping)]


def _score(scores: Any, metric: str) -> float | None:
    value = scores.get(metric) if isinstance(scores, Mapping) else None
    return float(value) if isinstance(value, (int, float)) else None
