"""Streaming prediction: files in, kept columns beside estimates out, in the files' order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import polars as pl

from trunkline.errors import Problems, did_you_mean
from trunkline.inference.kept_columns import kept_columns
from trunkline.tables import Encoder
from trunkline.tables.dialect import Dialect
from trunkline.tables.encoder import Encoded
from trunkline.tables.fingerprint import fingerprint, unchanged
from trunkline.tables.origin import Paths
from trunkline.tables.prefetch import ahead
from trunkline.tables.source import Files

CHUNK = 65_536
"""Rows read and encoded at a time."""

Look = Callable[[pl.DataFrame, Encoded], None]
"""What else looks at rows to predict: as they are read, and encoded."""


@final
@dataclass(frozen=True, kw_only=True)
class Reading:
    """How files to predict are read.

    Attributes:
        null_values: texts that mean "missing" in CSV.
        dialect: of CSV.
    """

    null_values: Sequence[str] = ()
    dialect: Dialect = field(default_factory=Dialect)


def stream(
    source: Paths,
    encoder: Encoder,
    estimate: Callable[[Encoded], pl.DataFrame],
    *,
    reading: Reading,
    keep: Sequence[str] = (),
    labels: Sequence[str] = (),
    look: Look | None = None,
) -> Iterator[pl.DataFrame]:
    """Estimates beside the columns to keep, chunk by chunk; memory does not grow with the files.

    A thread reads and encodes the next rows while the network estimates the last ones.

    Args:
        source: as in `tables.scan`.
        encoder: of the rows.
        estimate: of encoded rows, one row each.
        reading: how the files are read.
        keep: as in `kept_columns`.
        labels: likewise.
        look: told of all rows, in that thread.

    Raises:
        UserError: unreadable files, no rows, missing or unreadable columns, what `kept_columns` raises; files that
            change meanwhile.
    """
    types = encoder.csv_types()
    files = Files(source, null_values=reading.null_values, types=types, dialect=reading.dialect)
    before = fingerprint(files.paths)
    with files.naming():
        present = list(files.types)
        problems = Problems()
        for name in encoder.names:
            if name not in present:
                problems.add(f"feature column {name!r} is not in the table{did_you_mean(name, present)}")
        made = estimate(encoder.encode(pl.DataFrame({name: [] for name in encoder.names}))).columns
        kept: Mapping[str, str] = {}
        with problems.collect():
            kept = kept_columns(keep, present=present, made=made, labels=labels)
        problems.raise_if_any()
    texts = [name for name in kept if name in types and files.types[name] == pl.String]
    restore = _restored(source, texts, reading)
    wanted = list(dict.fromkeys([*kept, *encoder.names]))

    def encoded() -> Iterator[tuple[pl.DataFrame, Encoded]]:
        for chunk in files.chunks(columns=wanted, rows=CHUNK):
            rows = encoder.encode(chunk)
            if look is not None:
                look(chunk, rows)
            yield chunk.select(list(kept)).with_columns(restore).rename(kept), rows

    with unchanged(files.paths, before), files.naming():
        for beside, rows in ahead(encoded()):
            yield pl.concat([beside, estimate(rows)], how="horizontal")


def _restored(source: Paths, texts: Sequence[str], reading: Reading) -> list[pl.Expr]:
    """How kept features, read as text for the encoder, get back the types that their files have."""
    if not texts:
        return []
    schema = Files(source, null_values=reading.null_values, dialect=reading.dialect).types
    numbers = [pl.col(name).cast(schema[name]) for name in texts if schema[name].is_numeric()]
    return numbers + [pl.col(name).str.to_lowercase() == "true" for name in texts if schema[name] == pl.Boolean]
