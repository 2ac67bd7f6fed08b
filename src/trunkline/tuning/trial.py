"""One trial: a point of the space is drawn, trained, and its outcome told."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, final

import optuna
import torch
from filelock import FileLock
from optuna.trial import TrialState

from trunkline.assembly.checks import check_config
from trunkline.callbacks import Line
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.insight.comparison.jobs import epochs, of_many, ready
from trunkline.insight.comparison.own_rates import matched, with_rates
from trunkline.metrics import Scores
from trunkline.preparation.data import Data
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import read_history
from trunkline.training.fit import train_prepared
from trunkline.tuning.goal import Goal
from trunkline.tuning.order import Order
from trunkline.tuning.pruning import behind
from trunkline.tuning.space import Space
from trunkline.tuning.study import CONFIG, EPOCHS, SCORES, SECONDS, VALUES, Study

Tell = Callable[[Mapping[str, Any]], None]
CONFIG_RUN = "config"
"""The folder of the config's own runs."""


@final
@dataclass(frozen=True)
class Setup:
    """Setup that all trials have in common.

    Attributes:
        config: what is varied.
        goal: what is searched for.
        space: where.
        data: encoded rows, without those of the test part: nothing is chosen by them.
        folder: of the study.
        encoder: the file that holds what encoded the rows.
    """

    config: Config
    goal: Goal
    space: Space
    data: Data
    folder: Path
    encoder: Path

    @property
    def seeds(self) -> list[int]:
        """Of each trial's runs."""
        assert self.config.tune is not None
        return [self.config.training.seed + i for i in range(self.config.tune.seeds)]

    @cached_property
    def config_scores(self) -> Scores:
        """What the config itself reaches; trained by whoever asks first, while others wait.

        Raises:
            UserError: it cannot be trained.
        """
        folder = self.folder / "runs" / CONFIG_RUN
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            return _mean([_trained(self, self.at({}), seed, folder, None)[0] for seed in self.seeds])

    def at(self, overrides: Mapping[str, Any]) -> Config:
        """The config at a point of the space, without the rates of subnets that it does not have.

        Raises:
            UserError: the config refuses it.
        """
        made = Config.make(of_many(self.config), overrides=overrides)
        made = with_rates(made, matched(made, self.data.encoder.inputs))
        check_config(made)
        return made


def turn(setup: Setup, study: Study, tell: Tell, order: Order) -> None:
    """Do one trial, whatever comes of it; none where it is too late, or where as many as are wanted are under way.

    Args:
        setup: what all have in common.
        study: where the trial is kept.
        tell: receives `{"trial", "epoch", "overrides", "scores"}` after each epoch, and `{"trial", "state", "problem",
            "scores", "broken"}` in the end.
        order: what is asked for.

    Raises:
        KeyboardInterrupt: after Ctrl-C; the trial goes on from its checkpoint in the next turn, of whichever process.
    """
    if order.late:
        return
    with study.trial(order.wanted) as begun:
        if begun is None:
            return
        trial, folder = begun
        overrides = setup.space.suggest(trial)
        trial.set_user_attr(VALUES, overrides)
        problem = None
        try:
            _complete(setup, study, trial, folder, overrides, tell)
        except optuna.TrialPruned:
            study.give_up(trial)
        except (UserError, torch.OutOfMemoryError) as error:
            problem = str(error)
            study.give_up(trial, problem)
    ended = study.trials[trial.number]
    scores = ended.user_attrs.get(SCORES)
    tell(
        {
            "trial": trial.number,
            "state": ended.state.name.lower(),
            "problem": problem,
            "scores": {} if scores is None else setup.goal.reported(scores),
            "broken": [name for name, excess in ended.constraints.items() if excess > 0],
        }
    )


def _complete(
    setup: Setup, study: Study, trial: optuna.Trial, folder: Path, overrides: Mapping[str, Any], tell: Tell
) -> None:
    if trial.user_attrs.get(CONFIG):
        scores, seconds = setup.config_scores, 0.0
    else:
        config = setup.at(overrides)
        pruner = _Pruner(setup, study, trial, overrides, tell)
        runs = [_trained(setup, config, seed, folder, pruner if i == 0 else None) for i, seed in enumerate(setup.seeds)]
        scores, seconds = _mean([scores for scores, _ in runs]), sum(seconds for _, seconds in runs)
    trial.set_user_attr(SCORES, scores)
    trial.set_user_attr(SECONDS, seconds)
    values = setup.goal.values(scores)
    config_scores = setup.config_scores if setup.goal.needs_config else None
    for name, excess in setup.goal.excess(scores, config_scores).items():
        trial.set_constraint(name, excess)
    study.complete(trial, values)


@final
class _Pruner:
    """Watches a trial's epochs; of its first seed, if it has several."""

    def __init__(
        self, setup: Setup, study: Study, trial: optuna.Trial, overrides: Mapping[str, Any], tell: Tell
    ) -> None:
        self._setup, self._study, self._trial, self._overrides, self._tell = setup, study, trial, overrides, tell
        self._epochs: dict[str, list[float]] = {}

    def before(self, lines: Sequence[Line]) -> None:
        """Take in the epochs that were done before the trial was stopped."""
        for line in lines:
            self._see(line)

    def __call__(self, line: Line) -> None:
        """Take in an epoch.

        Raises:
            optuna.TrialPruned: the trial is behind the others.
        """
        self._see(line)
        self._trial.set_user_attr(EPOCHS, self._epochs)
        self._tell(
            {
                "trial": self._trial.number,
                "epoch": line["epoch"],
                "overrides": dict(self._overrides),
                "scores": self._setup.goal.reported(line["valid"]),
            }
        )
        if len(self._setup.goal.signs) == 1:  # for whoever looks at the study with Optuna's own tools
            self._trial.report(self._epochs[str(line["epoch"])][0] * self._setup.goal.signs[0], line["epoch"])
        assert self._setup.config.tune is not None
        if self._setup.config.tune.prune:
            others = [
                one.user_attrs[EPOCHS]
                for one in self._study.ended
                if one.state == TrialState.COMPLETE and EPOCHS in one.user_attrs
            ]
            if behind(self._epochs, others, line["epoch"]):
                raise optuna.TrialPruned

    def _see(self, line: Line) -> None:
        if line["best"] or not self._epochs:
            values = self._setup.goal.better(line["valid"])
        else:
            values = self._epochs[max(self._epochs, key=int)]
        self._epochs[str(line["epoch"])] = values


def _trained(setup: Setup, config: Config, seed: int, folder: Path, pruner: _Pruner | None) -> tuple[Scores, float]:
    """Scores on the validation rows and seconds of a run, trained unless it is there."""
    training = config.training.model_copy(update={"seed": seed})
    config = config.model_copy(update={"training": training})
    run = RunFolder(folder / f"seed{seed}")
    if not run.metrics.exists():
        with run.locked():
            resume = ready(run, config, setup.encoder)
            if resume and pruner is not None:
                pruner.before([line for line in read_history(run.history) if "valid" in line])
            watch = epochs(pruner) if pruner is not None else None
            train_prepared(config, setup.data, run, resume=resume, on_line=watch)
    found = json.loads(run.metrics.read_text(encoding="utf-8"))
    return found["valid"], found["train_seconds"]


def _mean(runs: Sequence[Scores]) -> Scores:
    """Of each score over the runs; None where it is not defined in one of them."""
    first = runs[0]
    return {
        task: {
            metric: None if any(run[task][metric] is None for run in runs) else fmean(run[task][metric] for run in runs)  # type: ignore[misc]
            for metric in first[task]
        }
        for task in first
    }
