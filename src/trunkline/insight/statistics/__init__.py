"""Statistics: intervals and resampled scores."""
