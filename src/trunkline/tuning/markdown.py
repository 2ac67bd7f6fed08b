"""A study as text and as Markdown."""

from collections.abc import Sequence

from trunkline.insight.comparison.markdown import DASH, table
from trunkline.insight.comparison.variants import shown
from trunkline.tuning.result import TrialResult, Tuning


def markdown(tuning: Tuning) -> str:
    """The whole study: what was found, what is chosen, and every trial."""
    parts = ["# Study", "", *(f"{line}  " for line in about(tuning)), "", f"## {title(tuning)}", ""]
    parts += table(columns(tuning), rows(tuning, tuning.chosen))
    parts += ["", *(f"- trial {trial.number}: {settings(trial)}" for trial in tuning.chosen)]
    parts += ["", "## All trials", "", *table([*columns(tuning), "values", "state"], _every(tuning))]
    return "\n".join(parts) + "\n"


def about(tuning: Tuning) -> list[str]:
    """How many trials there are, and what their scores mean."""
    states = [trial.state for trial in tuning.trials]
    counted = [f"{states.count('complete')} complete"]
    counted += [f"{states.count('pruned')} ended early"] if "pruned" in states else []
    counted += [f"{states.count('failed')} failed"] if "failed" in states else []
    broken = sum(bool(trial.broken) for trial in tuning.trials)
    counted += [f"{broken} of the complete ones break a guardrail"] if broken else []
    rows = ", ".join(f"{count:,} {part}" for part, count in tuning.rows.items())
    each = f"{tuning.seeds} seeds" if tuning.seeds > 1 else "one seed"
    return [
        f"{len(tuning.trials)} trials ({', '.join(counted)}); {each} each; rows: {rows}",
        "scores are those of the validation rows, by which the trials were chosen: on other rows expect less",
    ]


def title(tuning: Tuning) -> str:
    """What the table of the chosen trials holds."""
    if len(tuning.directions) == 1:
        return f"the best {next(iter(tuning.directions))}"
    return f"the front of {', '.join(tuning.directions)}"


def columns(tuning: Tuning) -> list[str]:
    """Of the table: each score, with its change against the config itself."""
    values = [name for name in tuning.directions if name not in tuning.scores]
    return ["trial", *values, *tuning.scores]


def rows(tuning: Tuning, trials: Sequence[TrialResult]) -> list[list[str]]:
    """The config itself, and these trials, a line each."""
    values = [name for name in tuning.directions if name not in tuning.scores]
    own = tuning.config or {}
    found = [["config", *(DASH for _ in values), *_scores(tuning, own, {})]] if own else []
    for trial in trials:
        told = [_number(trial.values.get(name)) for name in values]
        found.append([str(trial.number), *told, *_scores(tuning, trial.scores, own)])
    return found


def settings(trial: TrialResult) -> str:
    """`optimizer.lr=0.003, balance.objective=famo`."""
    return ", ".join(
        f"{path}={value:.4g}" if isinstance(value, float) else f"{path}={shown(value)}"
        for path, value in trial.overrides.items()
    )


def _scores(tuning: Tuning, scores: dict[str, float], config: dict[str, float]) -> list[str]:
    told = []
    for name in tuning.scores:
        change = f" {scores[name] - config[name]:+.4f}" if name in scores and name in config else ""
        told.append(_number(scores.get(name)) + change)
    return told


def _number(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def _every(tuning: Tuning) -> list[list[str]]:
    states = []
    for trial in tuning.trials:
        state = trial.state if trial.problem is None else f"{trial.state}: {' '.join(trial.problem.split())}"
        broken = ", ".join(f"breaks {name} by {excess:.4f}" for name, excess in trial.broken.items())
        states.append("; ".join(filter(None, ["chosen" if trial.chosen else state, broken])))
    told = rows(tuning, tuning.trials)
    own, trials = told[: len(told) - len(states)], told[len(told) - len(states) :]
    every = zip(trials, tuning.trials, states, strict=True)
    return [[*line, "", ""] for line in own] + [[*line, settings(trial), state] for line, trial, state in every]
