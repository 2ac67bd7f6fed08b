"""Intervals and resampled scores."""
