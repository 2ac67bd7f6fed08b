"""Metrics: how good the estimates are, over the same observed rows as the loss."""

from trunkline.metrics.metric import Metric
from trunkline.metrics.scored import Scored
from trunkline.metrics.scores import METRICS, Scores, score
from trunkline.metrics.selection import selection

__all__ = ["METRICS", "Metric", "Scored", "Scores", "score", "selection"]
