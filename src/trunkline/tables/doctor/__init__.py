"""The column doctor: what each column of a table is taken for, why, and what a colleague would ask about it."""

from trunkline.tables.doctor.columns import confirmed, examine
from trunkline.tables.doctor.label_kinds import Proposal, propose
from trunkline.tables.doctor.leaks import mark_leaks
from trunkline.tables.doctor.relatives import is_relative, mark_relatives
from trunkline.tables.doctor.row_repeats import Repeats, RowRepeats
from trunkline.tables.doctor.sheet import Choice, ColumnSheet
from trunkline.tables.doctor.table_sample import TableSample

__all__ = [
    "Choice",
    "ColumnSheet",
    "Proposal",
    "Repeats",
    "RowRepeats",
    "TableSample",
    "confirmed",
    "examine",
    "is_relative",
    "mark_leaks",
    "mark_relatives",
    "propose",
]
