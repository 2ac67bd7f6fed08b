"""Going on with a run that has ended: whether it can, and what keeps it from training on."""

import logging

from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.runs.folder import RunFolder
from trunkline.training.checkpoint import Progress


def spread_over_all(config: Config) -> list[str]:
    """Keys of the schedules whose rates depend on how many steps there are in all."""
    optimizer = config.optimizer
    schedules = {"optimizer.schedule": optimizer.schedule} | {
        f"optimizer.subnets.{name}.schedule": one.schedule for name, one in optimizer.subnets.items()
    }
    return [key for key, one in schedules.items() if one is not None and one.kind != "constant"]


def check_epochs(run: RunFolder, began: Config, config: Config) -> None:
    """Refuse another number of epochs where the rates of those already trained were made for the old one.

    Elsewhere a training that goes on is, to the bit, the one that had all its epochs from the start.

    Raises:
        UserError: a schedule that spreads over all epochs, and another number of them.
    """
    was, now = began.training.epochs, config.training.epochs
    if was != now and (keys := spread_over_all(began)):
        raise UserError(
            f"{run.path} was begun with training.epochs {was}, over which {', '.join(keys)} spreads its rates: with "
            f"{now} it would be neither a training of {was} nor of {now} epochs; train anew with training.epochs: "
            f"{now} into another folder (a run with schedule: constant trains on)"
        )


def tell_if_done(run: RunFolder, config: Config, progress: Progress) -> None:
    """Say of a run that was to go on, and has nothing left to do, which key has it train on."""
    c, done = config.training, f"{run.path} has nothing left to train"
    if progress.epoch >= c.epochs:
        why = f"all {progress.epoch} epochs are done"
        keys = spread_over_all(config)
        remedy = (
            f"{', '.join(keys)} spreads its rates over them, so more epochs are a new training in another folder"
            if keys
            else f"it trains on with training.epochs above {progress.epoch}, such as --set training.epochs="
            f"{2 * progress.epoch}"
        )
    elif c.patience is not None and progress.waited >= c.patience:
        best = "" if progress.best_epoch is None else f", the best is {progress.best_epoch + 1}"
        why = f"it stopped after epoch {progress.epoch}{best}: training.patience is {c.patience}"
        remedy = (
            f"it trains on with training.patience above {progress.waited}, such as --set training.patience="
            f"{2 * progress.waited}, or null"
        )
    else:
        return
    logging.getLogger("trunkline").warning("%s: %s; %s", done, why, remedy)
