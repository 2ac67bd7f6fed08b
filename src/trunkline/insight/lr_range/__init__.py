"""Learning-rate range tests."""

from trunkline.insight.lr_range.range_test import lr_range

__all__ = ["lr_range"]
