"""How good the estimates are, over the same observed rows as the loss."""

from trunkline.training.metrics.metric import Metric
from trunkline.training.metrics.scored import Scored
from trunkline.training.metrics.scores import METRICS, Scores, score
from trunkline.training.metrics.selection import selection

__all__ = ["METRICS", "Metric", "Scored", "Scores", "score", "selection"]
