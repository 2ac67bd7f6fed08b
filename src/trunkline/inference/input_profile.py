"""Input profile: what feature columns held in a run's training and validation rows, kept with the run."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from trunkline.errors import UserError
from trunkline.inference.column_counts import ColumnCounter, ColumnCounts, Range
from trunkline.runs.files import write_json
from trunkline.tables import Batches, Encoder, Store
from trunkline.tables.columns import IdColumn, ListColumn, NumericColumn
from trunkline.tables.encoder import Encoded
from trunkline.untrusted import read_json

ROWS = 65_536
"""Rows that are counted at a time, as many as a prediction reads."""


@final
@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column.

    Attributes:
        train: in the training rows.
        valid: in the validation rows, where there are any.
        range: of the training rows' numbers, of a numeric column.
    """

    train: ColumnCounts
    valid: ColumnCounts | None = None
    range: Range | None = None


Profile = Mapping[str, ColumnProfile]


def measure_profile(encoder: Encoder, stores: Mapping[str, Store]) -> dict[str, ColumnProfile]:
    """The profile of a run's rows.

    Args:
        encoder: that encoded them.
        stores: encoded rows by part, `train` among them.
    """
    ranges, gaps = _seen(encoder, stores["train"])
    counted = {}
    for part in ("train", "valid"):
        if part in stores and len(stores[part]):
            counter = ColumnCounter(encoder, ranges, gaps=gaps if part == "valid" else ())
            for batch in Batches(store=stores[part], size=ROWS).ordered():
                counter.see(Encoded(batch.ids, batch.numbers, batch.lists))
            counted[part] = counter.counts
    return {
        column.name: ColumnProfile(
            train=counted["train"][column.name],
            valid=counted["valid"][column.name] if "valid" in counted else None,
            range=ranges.get(column.name),
        )
        for column in encoder.columns
    }


def write_profile(path: Path, profile: Profile) -> None:
    """Write it as JSON, whole or not at all.

    Raises:
        UserError: it cannot be written.
    """
    write_json(path, {name: asdict(one) for name, one in profile.items()})


def read_profile(path: Path, encoder: Encoder) -> dict[str, ColumnProfile]:
    """What `write_profile` wrote, of the same columns.

    Raises:
        UserError: the file is missing, damaged, or of other columns.
    """
    read = read_json(path)
    try:
        profile = _PROFILE.validate_python(read)
        counter = ColumnCounter(encoder, {name: one.range for name, one in profile.items() if one.range is not None})
        if list(profile) != [column.name for column in encoder.columns]:
            raise ValueError("it is of other columns than the encoder's")
        for name, one in profile.items():
            for counts in (one.train, one.valid):
                if counts is not None and not _sound(counts, bins=len(counter.counts[name].bins)):
                    raise ValueError(f"column {name!r} has counts that no rows give")
    except (ValidationError, ValueError) as error:
        told = str(error.errors()[0]["msg"]) if isinstance(error, ValidationError) else str(error)
        raise UserError(f"{path} cannot be read: {told}; without that file rows to predict are not watched") from None
    return profile


_PROFILE: TypeAdapter[dict[str, ColumnProfile]] = TypeAdapter(
    dict[str, ColumnProfile], config=ConfigDict(allow_inf_nan=False)
)


def _sound(counts: ColumnCounts, *, bins: int) -> bool:
    whole: dict[str, Any] = asdict(counts)
    return (
        all(min(value) >= 0 if isinstance(value, list) and value else True for value in whole.values())
        and all(value >= 0 for name, value in whole.items() if name not in ("total", "bins"))
        and counts.missing <= counts.rows
        and counts.unseen <= counts.ids
        and counts.below + counts.above <= counts.numbers == sum(counts.bins)
        and len(counts.bins) == bins
    )


def _seen(encoder: Encoder, train: Store) -> tuple[dict[str, Range], set[str]]:
    """Least and greatest number of numeric columns, and the columns in which all zeros, encoded, are no value.

    Without an indicator a gap is the training rows' mean. Where no training row lies there, which as a rule is so, a
    later row that does has no value; where some do, later rows do not tell, and are taken to have none.
    """
    columns = [
        (column, place.numbers)
        for column, place in zip(encoder.columns, encoder.slices().values(), strict=True)
        if not isinstance(column, (IdColumn, ListColumn)) and column.width
    ]
    least, greatest, gaps = dict[str, float](), dict[str, float](), set[str]()
    gaps |= {column.name for column, _ in columns if not column.has_indicator}
    for batch in Batches(store=train, size=ROWS).ordered():
        numbers = batch.numbers.numpy()
        for column, place in columns:
            name, values = column.name, numbers[:, place]
            if name in gaps and (values == 0).all(axis=1).any():
                gaps.remove(name)
            if isinstance(column, NumericColumn):
                there = values[values[:, 1] == 0, 0] if column.has_indicator else values[:, 0]
                if len(there):
                    least[name] = min(least.get(name, math.inf), float(there.min()))
                    greatest[name] = max(greatest.get(name, -math.inf), float(there.max()))
    return {name: Range(least[name], greatest[name]) for name in least}, gaps
