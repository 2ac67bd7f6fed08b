"""Labelled rows, encoded chunk by chunk, to score a model on."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import polars as pl
from torch import Tensor

from trunkline.errors import Problems
from trunkline.inference.stream import CHUNK, Reading
from trunkline.tables import Encoder, Labels, read
from trunkline.tables.encoder import Encoded
from trunkline.tables.frames import as_polars
from trunkline.tables.source import Files


def labelled_rows(
    data: Any, encoder: Encoder, labels: Labels, *, reading: Reading, texts: Sequence[str] = ()
) -> Iterator[tuple[Encoded, dict[str, Tensor], dict[str, Tensor]]]:
    """Encoded rows with labels `{task: [n]}` and weights `{task: [n]}`, some at a time.

    Args:
        data: a frame, or files as in `tables.scan`.
        encoder: of the rows.
        labels: of the tasks.
        reading: how files are read.
        texts: label columns of a CSV that are wanted as they are written.

    Raises:
        UserError: what reading and encoding find wrong.
    """
    if isinstance(data, (str, Path, list)):
        types = encoder.csv_types() | {name: pl.String() for name in texts}
        files = Files(data, null_values=reading.null_values, types=types, dialect=reading.dialect)
        used = [*encoder.names, *(n for t in labels.tasks for n in (t.column, t.weight) if n)]
        present = files.types
        frames = files.chunks(columns=[name for name in dict.fromkeys(used) if name in present], rows=CHUNK)
    else:
        files, frames = None, iter([read(as_polars(data))])
    for frame in frames:
        problems = Problems()
        with nullcontext() if files is None else files.naming():
            with problems.collect():
                encoded = encoder.encode(frame)
            with problems.collect():
                targets = labels.encode(frame)
            with problems.collect():
                weights = labels.weights(frame)
            problems.raise_if_any()
        yield encoded, targets, weights
