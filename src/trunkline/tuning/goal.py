"""Goals of a search: one or several scores, or a utility of them, and guardrails."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, final

from trunkline.config.tune import GuardrailConfig, TuneConfig
from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.metrics import METRICS, Scores
from trunkline.tasks import Task


@final
@dataclass(frozen=True)
class Score:
    """A number that the validation rows give.

    Attributes:
        task: whose it is.
        metric: its name.
    """

    task: str
    metric: str

    @property
    def name(self) -> str:
        """`click.auc`."""
        return f"{self.task}.{self.metric}"

    @property
    def sign(self) -> int:
        """1 where higher is better, -1 where lower is."""
        return 1 if METRICS[self.metric].higher_is_better else -1

    def of(self, scores: Scores) -> float:
        """Its value.

        Raises:
            UserError: it is not defined on these rows.
        """
        value = scores[self.task][self.metric]
        if value is None:
            raise UserError(f"{self.name} is not defined on the validation rows (one class only, or no label)")
        return float(value)


@final
@dataclass(frozen=True)
class Goal:
    """Goal of a search.

    Attributes:
        objectives: the scores, or those of which the utility is the sum.
        weights: of the utility; None where each objective counts by itself.
        guardrails: what scores have to keep.
    """

    objectives: tuple[Score, ...]
    weights: tuple[float, ...] | None
    guardrails: tuple[tuple[Score, GuardrailConfig], ...]

    @classmethod
    def make(cls, tune: TuneConfig, tasks: Sequence[Task]) -> Self:
        """As the config says.

        Raises:
            UserError: names that are no scores of these tasks; all of them.
        """
        problems = Problems()

        def found(place: str, names: Sequence[str]) -> list[Score]:
            made = []
            for name in names:
                with problems.collect(f"tune.{place}: "):
                    made.append(_score(name, tasks))
            if len(set(made)) < len(made):
                problems.add(f"tune.{place}: a score stands twice")
            return made

        if tune.utility is not None:
            objectives, weights = found("utility", list(tune.utility)), tuple(tune.utility.values())
        else:
            names = tune.objectives if tune.objectives is not None else [task.name for task in tasks]
            objectives, weights = found("objectives", names), None
        guarded = found("guardrails", list(tune.guardrails))
        problems.raise_if_any()
        return cls(tuple(objectives), weights, tuple(zip(guarded, tune.guardrails.values(), strict=True)))

    @property
    def names(self) -> list[str]:
        """Of what is made as great, or as small, as can be."""
        return [score.name for score in self.objectives] if self.weights is None else ["utility"]

    @property
    def signs(self) -> list[int]:
        """1 for each that is to be great, -1 for each that is to be small."""
        return [score.sign for score in self.objectives] if self.weights is None else [1]

    @property
    def shown(self) -> list[Score]:
        """All scores that play a part, each once."""
        return list(dict.fromkeys([*self.objectives, *(score for score, _ in self.guardrails)]))

    def reported(self, scores: Scores) -> dict[str, float]:
        """All scores that play a part, by name; without those that are not defined."""
        known = {score.name: scores[score.task][score.metric] for score in self.shown}
        return {name: value for name, value in known.items() if value is not None}

    @property
    def needs_config(self) -> bool:
        """Whether a guardrail asks what the config itself reaches."""
        return any(rail.may_lose is not None for _, rail in self.guardrails)

    def values(self, scores: Scores) -> list[float]:
        """One number for each of `names`.

        Raises:
            UserError: a score is not defined on these rows.
        """
        values = [score.of(scores) for score in self.objectives]
        if self.weights is None:
            return values
        terms = zip(self.weights, self.objectives, values, strict=True)
        return [sum(weight * score.sign * value for weight, score, value in terms)]

    def better(self, scores: Scores) -> list[float]:
        """The same with every sign turned so that higher is better."""
        return [sign * value for sign, value in zip(self.signs, self.values(scores), strict=True)]

    def excess(self, scores: Scores, config: Scores | None) -> dict[str, float]:
        """By how much each guardrail is broken; 0 or less where it is kept.

        Args:
            scores: of a trial.
            config: of the config itself, where a guardrail needs them.
        """
        found = {}
        for score, rail in self.guardrails:
            value = score.of(scores)
            if rail.may_lose is not None:
                assert config is not None
                found[f"{score.name} may lose {rail.may_lose:g}"] = (
                    score.sign * (score.of(config) - value) - rail.may_lose
                )
            if rail.at_least is not None:
                found[f"{score.name} at least {rail.at_least:g}"] = rail.at_least - value
            if rail.at_most is not None:
                found[f"{score.name} at most {rail.at_most:g}"] = value - rail.at_most
        return found


def _score(name: str, tasks: Sequence[Task]) -> Score:
    known = {f"{task.name}.{m}": m for task in tasks for m in task.reported if METRICS[m].higher_is_better is not None}
    for task in tasks:
        if name == task.name:
            return Score(task.name, task.headline)
    if name not in known:
        names = [*(task.name for task in tasks), *known]
        raise UserError(f"{name!r} is no score of these tasks{did_you_mean(name, names)} (known: {', '.join(names)})")
    return Score(name.removesuffix(f".{known[name]}"), known[name])
