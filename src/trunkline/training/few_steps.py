"""Trainings of so few steps that a network hardly moves."""

import logging
from collections.abc import Mapping

from trunkline.config import TrainingConfig
from trunkline.tables import Store

FEWEST = 10
"""Steps of an epoch that a smaller batch is to give."""
FEWEST_IN_ALL = 100
"""Steps of a training, below which one is proposed."""


def few_steps(config: TrainingConfig, stores: Mapping[str, Store]) -> str | None:
    """What to say of a batch larger than the training rows, or of few steps in all; None where all is well.

    The size proposed is the largest power of two that gives `FEWEST` steps an epoch.
    """
    rows, size = len(stores["train"]), config.batch_size
    steps, smaller = -(-rows // size), 1 << max(1, (rows // FEWEST).bit_length() - 1)
    enough = steps >= FEWEST or steps * config.epochs >= FEWEST_IN_ALL
    if smaller >= size or (enough and size <= rows):
        return None
    return (
        f"training.batch_size {size:,} is {'more than' if size > rows else 'many for'} the {rows:,} training rows: "
        f"{steps} step{'' if steps == 1 else 's'} an epoch, {steps * config.epochs:,} in all; with "
        f"training.batch_size: {smaller} there are {-(-rows // smaller):,} an epoch"
    )


def warn_of_few_steps(config: TrainingConfig, stores: Mapping[str, Store]) -> None:
    """Say it, once a training."""
    if (told := few_steps(config, stores)) is not None:
        logging.getLogger("trunkline").warning("%s", told)
