"""Kept columns: what of a table stands beside its estimates, and under which names."""

from collections.abc import Collection, Sequence

from trunkline.errors import Problems, did_you_mean

ALL = "*"


def kept_columns(
    keep: Sequence[str], *, present: Sequence[str], made: Collection[str], labels: Collection[str]
) -> dict[str, str]:
    """The names under which columns are written, by column, in the order in which they are asked for.

    Args:
        keep: columns to keep; `*` for all.
        present: the table's columns.
        made: columns that a prediction writes. A kept column of such a name is written as `label_<name>` where it is a
            task's label, so that an estimate stands beside its truth, and as `input_<name>` otherwise.
        labels: the label columns of the tasks.

    Raises:
        UserError: a column that is not there; two that would have one name; all of them.
    """
    problems, kept = Problems(), dict[str, str]()
    for name in dict.fromkeys(present if ALL in keep else keep):
        if name not in present:
            problems.add(f"column {name!r} to keep is not in the table{did_you_mean(name, present)}")
        elif name in made:
            kept[name] = f"label_{name}" if name in labels else f"input_{name}"
        else:
            kept[name] = name
    for name, written in kept.items():
        if written != name and (written in made or written in kept):
            problems.add(
                f"column {name!r} to keep has the name of an estimate and would be written as {written!r}, which is "
                "another column's name; rename it in the table, or leave one of them out of --keep"
            )
    problems.raise_if_any()
    return kept
