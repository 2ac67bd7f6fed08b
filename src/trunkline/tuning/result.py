"""The result of a study."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Self, final

from optuna.trial import FrozenTrial, TrialState

from trunkline.errors import UserError
from trunkline.insight.result_file import read_result
from trunkline.metrics import Scores
from trunkline.tuning.goal import Goal
from trunkline.tuning.study import EPOCHS, PROBLEM, RUN, SCORES, SECONDS, VALUES, Study

State = Literal["complete", "pruned", "failed"]


@final
@dataclass(frozen=True, kw_only=True)
class TrialResult:
    """One trial.

    Attributes:
        number: in the study.
        run: its folder under `runs`, which holds a run folder for each seed.
        state: `complete`; `pruned` when it was behind the others; `failed` when it could not be trained.
        overrides: what it changes in the config, by dotted path.
        values: of what is searched for; empty unless complete.
        scores: on the validation rows, of all that play a part; likewise.
        broken: by guardrail, by how much it is broken.
        chosen: whether it is the best, or on the front.
        epochs: that were trained, with the first seed.
        seconds: in training, over all seeds; None unless complete.
        problem: why it failed.
    """

    number: int
    run: str
    state: State
    overrides: dict[str, Any]
    values: dict[str, float]
    scores: dict[str, float]
    broken: dict[str, float]
    chosen: bool
    epochs: int
    seconds: float | None
    problem: str | None


@final
@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Result of a study, as `study.json` holds it.

    Attributes:
        directions: of what is searched for, `maximize` or `minimize`.
        scores: names of all that play a part.
        config: what the config itself reaches; None where it could not be trained.
        seeds: runs of each trial.
        rows: of each part.
        trials: in order.
    """

    directions: dict[str, str]
    scores: list[str]
    config: dict[str, float] | None
    seeds: int
    rows: dict[str, int]
    trials: list[TrialResult]

    @property
    def chosen(self) -> list[TrialResult]:
        """The best trial; the front, by the first objective, where there are several."""
        found = [trial for trial in self.trials if trial.chosen]
        first, direction = next(iter(self.directions.items()))
        return sorted(found, key=lambda trial: trial.values[first], reverse=direction == "maximize")

    @property
    def best(self) -> TrialResult | None:
        """The best trial of one objective or utility; None where none keeps the guardrails.

        Raises:
            UserError: there are several objectives.
        """
        if len(self.directions) > 1:
            raise UserError(f"{', '.join(self.directions)}: there is a front of trials, none is the best; see chosen")
        return next(iter(self.chosen), None)

    def to_json(self) -> dict[str, Any]:
        """In plain values."""
        return asdict(self)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What lies in a study's folder, or in its `study.json`.

        Raises:
            UserError: it is not there, or no such file.
        """
        return read_result(Path(path) / "study.json" if Path(path).is_dir() else Path(path), cls, "tune")


def result(study: Study, goal: Goal, config: Scores | None, *, seeds: int, rows: Mapping[str, int]) -> Tuning:
    """What the study holds by now."""
    ended, front = study.ended, {trial.number for trial in study.front}
    return Tuning(
        directions={n: "maximize" if s > 0 else "minimize" for n, s in zip(goal.names, goal.signs, strict=True)},
        scores=[score.name for score in goal.shown],
        config=None if config is None else goal.reported(config),
        seeds=seeds,
        rows=dict(rows),
        trials=[_trial(trial, goal, chosen=trial.number in front) for trial in sorted(ended, key=lambda t: t.number)],
    )


def _trial(trial: FrozenTrial, goal: Goal, *, chosen: bool) -> TrialResult:
    told, complete = trial.user_attrs, trial.state == TrialState.COMPLETE
    values: Sequence[float] = trial.values if complete else []
    return TrialResult(
        number=trial.number,
        run=told.get(RUN, ""),
        state="complete" if complete else "failed" if PROBLEM in told else "pruned",
        overrides=told.get(VALUES, {}),
        values=dict(zip(goal.names, values, strict=False)),
        scores=goal.reported(told[SCORES]) if complete else {},
        broken={name: excess for name, excess in trial.constraints.items() if excess > 0},
        chosen=chosen,
        epochs=len(told.get(EPOCHS, {})),
        seconds=told[SECONDS] if complete else None,
        problem=told.get(PROBLEM),
    )
