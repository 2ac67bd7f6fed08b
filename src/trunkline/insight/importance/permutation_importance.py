"""Permutation importance: how far each task's score falls when other rows' values take a feature's place."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trunkline.errors import Problems, did_you_mean
from trunkline.inference.model import Model
from trunkline.insight.importance.permutation import feature_names
from trunkline.insight.importance.result import Importance, TaskImportance
from trunkline.insight.importance.run_rows import run_rows
from trunkline.insight.importance.score_drops import ScoreDrops
from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.jackknife import CONFIDENCE, Groups
from trunkline.random_state import isolated_random
from trunkline.tables.splits import PARTS


def importance(
    run: Model | str | Path,
    *,
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    part: str | None = None,
    rows: int = 20_000,
    repeats: int = 3,
    features: Sequence[str] | None = None,
    seed: int = 0,
    on_feature: Callable[[str, int, int], None] | None = None,
) -> Importance:
    """Permutation importance of every feature for every task (Breiman 2001, §10; Fisher, Rudin and Dominici 2019, §3).

    A feature's column, with all that it became on the way into the network, is permuted among the rows, those included
    in which a task has no label. The drop is the task's headline metric as it is less that after the permutation, the
    mean over several. An estimate that other tasks read is a feature too, `click (estimate)`, permuted where they read
    it; tasks that do not read it fall by 0.

    Rows are in 25 groups at random, and a row is given the value of another row of its group. Groups then have nothing
    in common, so that a jackknife that leaves out one after the other (95 %, Student's t) sees the variance between
    rows, as rows that are judged and as rows that lend their value, and that between permutations, each once. Rows are
    taken to be independent.

    Correlated features: what two of them know is credited to neither, as the network still reads it in the other, and
    permuting one of them asks the network about rows that do not exist.

    Args:
        run: a run folder, or its model.
        train: training rows as a polars or pandas frame, instead of the config's files.
        valid: validation rows, likewise.
        test: test rows, likewise.
        part: whose rows are asked: by default test rows where there are any (those given here come first), else
            validation rows.
        rows: so many of them at most, at random.
        repeats: permutations of each feature.
        features: columns, or estimates; None for all.
        seed: of the rows, groups and permutations.
        on_feature: called with each feature once it is done, how many are done, and of how many.

    Raises:
        UserError: no run; its rows are gone, or cannot be encoded; an unknown part or feature; rows, repeats or seed
            out of range.

    Examples:
        >>> import polars as pl
        >>> from trunkline import fit
        >>> rows = pl.DataFrame({"x": [0.0, 1.0] * 200, "z": [0, 0, 1, 1] * 100, "y": [0, 1] * 200})
        >>> model = fit({"tasks": {"y": "binary"}}, train=rows)
        >>> found = importance(model, test=rows)
        >>> list(found.tasks["y"].features)
        ['x', 'z']
    """
    frames = {name: frame for name, frame in (("train", train), ("valid", valid), ("test", test)) if frame is not None}
    with isolated_random(None):
        model = run if isinstance(run, Model) else Model.load(run)
        wanted = _check(model, part, rows, repeats, features, seed)
        name, store = run_rows(model, frames, part)
        draw = np.random.default_rng(seed)
        some = np.sort(draw.choice(len(store), min(rows, len(store)), replace=False))
        drops = ScoreDrops(model, store.rows.take(torch.from_numpy(some)), Groups(len(some), draw))
        donors = [torch.from_numpy(drops.groups.permutation()) for _ in range(repeats)]
        found: dict[str, dict[str, Interval | None]] = {}
        for i, feature in enumerate(wanted, 1):
            found[feature] = drops.of(feature, donors)
            if on_feature is not None:
                on_feature(feature, i, len(wanted))
    tasks = {}
    for task in model.network.tasks:
        own, score = {feature: found[feature][task.name] for feature in wanted}, float(drops.base[task.name][0])
        tasks[task.name] = TaskImportance(
            metric=task.headline,
            score=score if math.isfinite(score) else None,
            features=dict(sorted(own.items(), key=lambda item: _height(item[1]), reverse=True)),
        )
    return Importance(part=name, rows=len(some), repeats=repeats, confidence=CONFIDENCE, tasks=tasks)


def _check(
    model: Model, part: str | None, rows: int, repeats: int, features: Sequence[str] | None, seed: int
) -> list[str]:
    """The features to go through."""
    known = feature_names(model.network, model.encoder)
    problems = Problems()
    if part is not None and part not in PARTS:
        problems.add(f"part {part!r}: it is one of {', '.join(PARTS)}{did_you_mean(part, PARTS)}")
    for what, value, least in (("rows", rows, 1), ("repeats", repeats, 1), ("seed", seed, 0)):
        if value < least:
            problems.add(f"{what} {value}: it is at least {least}")
    wanted = known if features is None else list(dict.fromkeys(features))
    for feature in wanted:
        if feature not in known:
            problems.add(f"feature {feature!r} is none of the run's{did_you_mean(feature, known)}")
    problems.raise_if_any()
    return wanted


def _height(drop: Interval | None) -> float:
    return -math.inf if drop is None else drop.value
