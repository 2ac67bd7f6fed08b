"""Tables: columns in, tensors out."""

from trunkline.tables.batch import Batch
from trunkline.tables.batches import Batches
from trunkline.tables.columns import FEATURE_KINDS, Feature, NumberColumn, NumberFeature, NumberFitter, make_feature
from trunkline.tables.encoder import Encoder
from trunkline.tables.labels import Labels
from trunkline.tables.rows import ROW
from trunkline.tables.schema import infer
from trunkline.tables.source import chunks, read, scan
from trunkline.tables.splits import Split, cut
from trunkline.tables.store import Store

__all__ = [
    "FEATURE_KINDS",
    "ROW",
    "Batch",
    "Batches",
    "Encoder",
    "Feature",
    "Labels",
    "NumberColumn",
    "NumberFeature",
    "NumberFitter",
    "Split",
    "Store",
    "chunks",
    "cut",
    "infer",
    "make_feature",
    "read",
    "scan",
]
