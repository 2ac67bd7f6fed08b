"""Trainings without validation rows: what can be said of them all the same, and what not."""

import logging
from collections.abc import Collection

import torch

from trunkline.inference.evaluate import evaluate
from trunkline.metrics import Scores
from trunkline.network import Network
from trunkline.tables import Batches, Store

MOST = 200_000
"""Training rows that are scored; of more, as many at even distances."""
SPLIT = "data.split: {by: random, valid: 0.1}"


def training_scores(network: Network, store: Store, device: torch.device, *, size: int, amp: str = "none") -> Scores:
    """Scores on the rows that the network learned from: optimistic, the more so the longer it was trained.

    Args:
        network: trained.
        store: its training rows.
        device: where to compute.
        size: rows in one forward pass.
        amp: as in training.
    """
    if len(store) > MOST:
        store = Store.of(store.rows.take(torch.arange(MOST) * len(store) // MOST))
    return evaluate(network, Batches(store=store, size=size), device, amp=amp)


def warn_of_no_validation(parts: Collection[str]) -> None:
    """Say what a training without validation rows does not tell, and the line that has it do so."""
    if "valid" in parts:
        return
    told = "" if "test" in parts else " Its scores are of training rows, which are optimistic."
    logging.getLogger("trunkline").warning(
        "no validation rows: the last epoch is kept, best or not.%s Hold some back with %s, or name data.valid",
        told,
        SPLIT,
    )
