"""A worker process of a study."""

from pathlib import Path
from typing import Any

from trunkline.config import Config
from trunkline.insight.comparison.shared_data import opened
from trunkline.insight.parallel.worker import Tell, Work, serve
from trunkline.tuning.goal import Goal
from trunkline.tuning.order import Order
from trunkline.tuning.space import Space
from trunkline.tuning.study import Study
from trunkline.tuning.trial import Setup, turn

MODULE = "trunkline.tuning.trial_worker"


def _begin(common: dict[str, Any]) -> Work:
    config, encoder, folder = Config.make(common["config"]), Path(common["encoder"]), Path(common["folder"])
    assert config.tune is not None
    data = opened(config, encoder, common["stores"])
    goal = Goal.make(config.tune, data.labels.tasks)
    setup = Setup(config, goal, Space.make(config.tune.space), data, folder, encoder)
    study = Study(folder, config.tune, goal, seed=config.training.seed)

    def do(order: dict[str, Any], tell: Tell) -> None:
        turn(setup, study, tell, Order(**order))

    return do


if __name__ == "__main__":
    serve(_begin)
