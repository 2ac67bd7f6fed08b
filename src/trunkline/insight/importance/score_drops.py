"""Score drops: how far each task's score falls when a feature of every row is another row's."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import final

import numpy as np
from torch import Tensor

from trunkline.inference.evaluate import final_outputs
from trunkline.inference.model import Model
from trunkline.insight.importance.permutation import permuted_estimates, permuted_features, run_network
from trunkline.insight.statistics.intervals import Interval
from trunkline.insight.statistics.jackknife import Groups, interval
from trunkline.insight.statistics.predictions import Judged
from trunkline.insight.statistics.weighted import MAKERS, Numbers
from trunkline.tables import Batch


@final
class ScoreDrops:
    """Each task's headline metric over some rows, and how far it falls.

    Args:
        model: what is asked.
        rows: N, at least 1.
        groups: of the rows.

    Attributes:
        groups: likewise.
        base: of each task what `scores` gives for the features as they are.
    """

    def __init__(self, model: Model, rows: Batch, groups: Groups) -> None:
        self.groups = groups
        network = model.network
        self._final = partial(final_outputs, network.tasks, calibrators=model.calibrators)
        self._judged = [Judged(task, rows.labels[task.name], rows.weights.get(task.name)) for task in network.tasks]
        raws = run_network(network, rows)
        self._permuted = permuted_features(network, model.encoder, rows) | permuted_estimates(network, rows, raws)
        self.base = self.scores(raws)

    def scores(self, raws: Mapping[str, Tensor]) -> dict[str, Numbers]:
        """Of raw outputs `{task: [N, outputs]}`, each task's metric `[1 + G]` as `Groups.scores` gives it."""
        made, found = self._final(raws), dict[str, Numbers]()
        for judged in self._judged:
            task = judged.task
            if not len(judged.rows):
                found[task.name] = np.full(1 + self.groups.count, np.nan)
                continue
            metric = MAKERS[task.headline](judged.value(made[task.name]), judged.target)
            found[task.name] = self.groups.scores(metric, judged.rows)
        return found

    def of(self, feature: str, donors: Sequence[Tensor]) -> dict[str, Interval | None]:
        """By how far each task's score falls without a feature.

        Args:
            feature: as `feature_names` has it.
            donors: permutations `[N]` of the rows, within their groups; the mean is taken over them.
        """
        scores = [self.scores(self._permuted[feature](rows)) for rows in donors]
        return {
            name: interval(base - np.mean([permuted[name] for permuted in scores], axis=0))
            for name, base in self.base.items()
        }
