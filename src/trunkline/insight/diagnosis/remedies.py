"""Changes of the config that may help a task which does not learn well enough."""

from trunkline.config import Config
from trunkline.insight.diagnosis.findings.finding import Change
from trunkline.insight.diagnosis.measures.past_best import past_best
from trunkline.insight.diagnosis.rates import rate_of
from trunkline.insight.quality.task_quality import TaskQuality

STEPS = 30
"""Steps of an epoch below which there are too few of them."""
SMALLEST = 32
"""Rows of a batch, below which steps are mostly noise."""
DROPOUT = 0.2
WITH_IDS = ("categorical", "hashed", "bag", "sequence")
"""Kinds of features that have vectors which learn rows by heart."""


def more_steps(config: Config, rows: int) -> Change | None:
    """Smaller batches, where an epoch has few steps.

    Args:
        config: of the run.
        rows: for training.
    """
    size = config.training.batch_size
    if -(-rows // size) >= STEPS:
        return None
    smaller = max(SMALLEST, 2 ** (max(rows // STEPS, 1).bit_length() - 1))
    return Change("training.batch_size", smaller) if smaller < size else None


def against_overfitting(config: Config) -> list[Change]:
    """Slower embeddings where there are any, and dropout."""
    changes, features = [], config.features
    if features == "auto" or any(feature.kind in WITH_IDS for feature in features.values()):
        changes.append(Change("optimizer.subnets.embedding.lr", _round(rate_of(config, "embedding") / 10)))
    if config.network.dropout < DROPOUT:
        changes.append(Change("network.dropout", DROPOUT))
    return changes


def to_learn_more(config: Config, task: str) -> list[Change]:
    """A learned balance where losses are only summed, and another rate."""
    changes = []
    if len(config.tasks) > 1 and config.balance.objective.kind in ("sum", "fixed"):
        changes.append(Change("balance.objective", "uncertainty"))
    if len(config.tasks) > 1:
        changes.append(Change(f'optimizer.subnets."tower.{task}".lr', _round(3 * rate_of(config, f"tower.{task}"))))
    changes.append(Change("optimizer.lr", _round(config.optimizer.lr / 3)))
    return changes


def learning_changes(config: Config, quality: TaskQuality) -> list[Change]:
    """What may help a task that is worse than it should be, the likeliest first.

    More steps where an epoch has few; what holds against overfitting where it overfits; otherwise what makes it learn.
    """
    steps = more_steps(config, quality.label.rows)
    first = against_overfitting(config) if past_best(quality) is not None else to_learn_more(config, quality.task)
    return ([steps] if steps is not None else []) + first


def _round(rate: float) -> float:
    return float(f"{rate:.2g}")
