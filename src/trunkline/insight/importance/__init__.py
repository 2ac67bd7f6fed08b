"""What each feature is worth to each task."""

from trunkline.insight.importance.permutation_importance import Importance, importance

__all__ = ["Importance", "importance"]
