"""Columns in, tensors out."""

from trunkline.tables.batch import Batch
from trunkline.tables.batches import Batches
from trunkline.tables.encoder import Encoder
from trunkline.tables.labels import Labels
from trunkline.tables.rows import ROW
from trunkline.tables.schema import Feature, infer
from trunkline.tables.source import chunks, read, scan
from trunkline.tables.splits import Split, cut
from trunkline.tables.store import Store

__all__ = [
    "ROW",
    "Batch",
    "Batches",
    "Encoder",
    "Feature",
    "Labels",
    "Split",
    "Store",
    "chunks",
    "cut",
    "infer",
    "read",
    "scan",
]
