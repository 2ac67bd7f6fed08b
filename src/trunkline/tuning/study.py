"""The study: trials in an SQLite file that several processes and machines share."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from trunkline.config.tune import TuneConfig
from trunkline.tuning.goal import Goal

NAME = "trunkline"
TRIES = 3
"""How often a trial is begun that breaks off: what eats all memory once does so again."""
_WAIT = 120.0
"""Seconds to wait for another process that writes."""
RUN, TRIED, CONFIG, VALUES, SCORES, EPOCHS, SECONDS, PROBLEM = (
    "run",
    "tried",
    "config",
    "values",
    "scores",
    "epochs",
    "seconds",
    "problem",
)
"""What a trial remembers: its folder's name, how often it was begun, whether it is the config's own point, the values
by path, mean scores, each epoch's objectives, time in training, and why it was given up."""


@final
class Study:
    """A study in a folder; Optuna's own tools read its file too.

    Args:
        folder: of the study.
        tune: what the config says of it.
        goal: what is searched for.
        seed: of the sampler.
    """

    def __init__(self, folder: Path, tune: TuneConfig, goal: Goal, *, seed: int) -> None:
        logging.getLogger("optuna").setLevel(logging.ERROR)
        self._runs, self._tune, self._seed = folder / "runs", tune, seed
        self._runs.mkdir(exist_ok=True)
        with FileLock(folder / ".study.lock"):
            self._storage = optuna.storages.RDBStorage(
                f"sqlite:///{folder / 'study.db'}", engine_kwargs={"connect_args": {"timeout": _WAIT}}
            )
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=NAME,
                directions=["maximize" if sign > 0 else "minimize" for sign in goal.signs],
                load_if_exists=True,
            )
            if not self._study.metric_names:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                    self._study.set_metric_names(goal.names)

    def close(self) -> None:
        """Leave the file alone."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials, in the order of their numbers."""
        return self._study.get_trials(deepcopy=False)

    @property
    def ended(self) -> list[FrozenTrial]:
        """Those that came to an end, good or bad."""
        return self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))

    @property
    def front(self) -> list[FrozenTrial]:
        """Those that keep the guardrails and that no other such trial beats in everything."""
        return self._study.best_trials

    def alive(self) -> int:
        """How many trials are under way, in this process or another."""
        return sum(self._worked_on(trial) for trial in self._running())

    def enqueue_config(self, point: dict[str, Any]) -> None:
        """Make the config's own point of the space the first trial."""
        if not self.trials:
            self._study.enqueue_trial(point, user_attrs={CONFIG: True})

    @contextmanager
    def trial(self, wanted: int) -> Iterator[tuple[optuna.Trial, Path] | None]:
        """A new trial, or one whose process died, with its folder; None where as many as are wanted are under way.

        Whoever leaves by an exception leaves the trial to be begun again.
        """
        begun = self._begin(wanted)
        if begun is None:
            yield None
            return
        trial, folder, lock = begun
        try:
            yield trial, folder
        except BaseException as error:
            now = self._storage.get_trial(trial._trial_id)
            if now.state == TrialState.RUNNING:
                # An interruption says nothing about the trial.
                self._again(now, tried=int(trial.user_attrs[TRIED]) - (not isinstance(error, Exception)))
            raise
        finally:
            lock.release()

    def complete(self, trial: optuna.Trial, values: list[float]) -> None:
        """The trial's end."""
        self._study.tell(trial, values)

    def give_up(self, trial: optuna.Trial, problem: str | None = None) -> None:
        """The trial's end, before its time: it is below the others, or cannot be trained."""
        if problem is not None:
            trial.set_user_attr(PROBLEM, problem)
        self._study.tell(trial, state=TrialState.PRUNED)

    def _begin(self, wanted: int) -> tuple[optuna.Trial, Path, FileLock] | None:
        """A trial, its folder, and the lock on it that tells others that it is worked on."""
        with FileLock(self._runs / ".begin.lock"):  # one at a time: who holds it sees no trial half begun
            self._revive()
            counted = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
            if len(self._study.get_trials(deepcopy=False, states=counted)) >= wanted:
                return None
            self._study.sampler = self._sampler()
            trial = self._study.ask()
            name = trial.user_attrs.get(RUN) or f"{trial.number:04d}"
            folder = self._runs / name
            folder.mkdir(exist_ok=True)
            lock = FileLock(folder / ".lock")
            lock.acquire(timeout=0)
            trial.set_user_attr(RUN, name)
            trial.set_user_attr(TRIED, int(trial.user_attrs.get(TRIED, 0)) + 1)
            return trial, folder, lock

    def _running(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))

    def _revive(self) -> None:
        """Put what dead processes were at back into the queue; it goes on from its checkpoint."""
        for trial in self._running():
            # It may have ended since it was looked up.
            if not self._worked_on(trial) and self._storage.get_trial(trial._trial_id).state == TrialState.RUNNING:
                self._again(trial, tried=trial.user_attrs.get(TRIED, 1))

    def _worked_on(self, trial: FrozenTrial) -> bool:
        """Whether a process holds the trial's folder."""
        if RUN not in trial.user_attrs:
            return False
        try:
            with FileLock(self._runs / trial.user_attrs[RUN] / ".lock", timeout=0):
                return False
        except Timeout:
            return True

    def _again(self, trial: FrozenTrial, *, tried: int) -> None:
        """End this trial, and queue another one at the same point that goes on in its folder."""
        kept = {key: trial.user_attrs[key] for key in (RUN, CONFIG) if key in trial.user_attrs}
        if tried >= TRIES:
            self._storage.set_trial_user_attr(trial._trial_id, PROBLEM, f"it broke off {tried} times")
            self._study.tell(trial.number, state=TrialState.PRUNED)
            return
        self._study.tell(trial.number, state=TrialState.FAIL)
        self._study.enqueue_trial(trial.params, user_attrs={**kept, TRIED: tried})

    def _sampler(self) -> optuna.samplers.BaseSampler:
        """A new one a trial: what it draws depends on the trials there are, not on the process it is in."""
        others = [os.getpid()] if self._running() else []
        seed = int(np.random.SeedSequence([self._seed, len(self.trials), *others]).generate_state(1)[0])
        if self._tune.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(seed=seed)
