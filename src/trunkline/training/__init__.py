"""Training: the loop, its callbacks, checkpoints, `fit` and `extend`."""
