"""Building callbacks."""

from trunkline.callbacks import CALLBACKS, Callback
from trunkline.config import TrainingConfig
from trunkline.errors import Problems


def build_callbacks(config: TrainingConfig) -> list[Callback]:
    """In the order of `training.callbacks`.

    Raises:
        UserError: an option out of range, or a package that cannot be used; all of them.
    """
    problems, made = Problems(), list[Callback]()
    for one in config.callbacks:
        with problems.collect("training.callbacks: "):
            made.append(CALLBACKS.make(one.kind, one.options))
    problems.raise_if_any()
    return made
