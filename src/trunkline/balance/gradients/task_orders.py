"""Random task orders that repeat, resume and agree between machines."""

import torch


def random_orders(tasks: int, *, seed: int, draw: int) -> list[list[int]]:
    """`tasks` permutations of `tasks` positions, a function of (seed, draw) alone; no global generator is touched."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + draw) % 2**63)
    return [torch.randperm(tasks, generator=generator).tolist() for _ in range(tasks)]
