"""Layers that know nothing of tasks: embeddings, numbers, interactions, multi-layer perceptrons."""
