"""Permutation importance: what each feature is worth to each task."""

from trunkline.insight.importance.permutation_importance import importance
from trunkline.insight.importance.result import Importance

__all__ = ["Importance", "importance"]
