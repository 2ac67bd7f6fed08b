"""Subnets, their learning rates, and optimisers that touch only a batch's rows."""
