"""Training, scoring and using a model."""
