"""Encoding pass: the parts of a table are encoded into stores."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, final

import polars as pl

from trunkline.errors import Problems, UserError
from trunkline.preparation.fitting import label_columns, label_facts
from trunkline.preparation.partition import Partition
from trunkline.tables import Batch, Encoder, Labels, Store
from trunkline.tables.fingerprint import key_of
from trunkline.tables.writer import Writer


def encode_parts(
    parts: Sequence[Partition],
    folder: Path | None,
    encoder: Encoder | None,
    labels: Labels | None,
    key: str | None,
    problems: Problems,
) -> dict[str, Store]:
    """The stores of the parts of one table: those that are kept, and the others encoded in one pass.

    Args:
        parts: of the same table.
        folder: of stores; None to encode into memory.
        encoder: None where it could not be fitted; then nothing is encoded, only looked at.
        labels: likewise.
        key: of encoder and labels, where nothing is missing.
        problems: where what is wrong with the rows goes.

    Raises:
        UserError: the rows cannot be read, have changed meanwhile, or cannot be written.
    """
    places = {
        part.name: folder / key_of([part.facts, key]) if folder and key and part.before else None for part in parts
    }
    stores = {name: store for name, place in places.items() if place and (store := Store.open(place))}
    parts = [part for part in parts if part.name not in stores]
    if not parts or (encoder is None and labels is None):
        return stores
    needed = [*(encoder.names if encoder else ()), *(label_columns(labels.tasks) if labels else ())]
    columns, lacking = parts[0].columns(needed)
    with ExitStack() as stack:
        works = [_Encoding(part, encoder, labels, stack.enter_context(Writer(places[part.name]))) for part in parts]
        with parts[0].unchanged():
            before = 0
            for chunk in parts[0].table.chunks(columns=columns):
                for work in works:
                    rows = work.part.own(chunk, before)
                    if len(rows) or lacking:
                        work.see(rows)
                before += len(chunk)
                if lacking or not any(work.encoders for work in works):
                    break
        for work in works:
            for problem in work.problems:
                problems.add(problem)
            if not work.problems and encoder is not None and labels is not None:
                cut = work.part.cut
                stores[work.part.name] = work.writer.done({"split": None if cut is None else cut.result})
    return stores


@final
class _Encoding:
    """One part on its way into a store."""

    def __init__(self, part: Partition, encoder: Encoder | None, labels: Labels | None, writer: Writer) -> None:
        self.part, self.writer, self.problems = part, writer, list[str]()
        self.encoders: dict[str, Callable[[pl.DataFrame], Any]] = {}
        if encoder is not None:
            self.encoders["inputs"] = encoder.encode
        if labels is not None:
            self.encoders |= {"labels": labels.encode, "weights": labels.weights}
        self._all = encoder is not None and labels is not None

    def see(self, rows: pl.DataFrame) -> None:
        """Encode rows; after something that cannot be encoded, go on only to find out what else is wrong."""
        made: dict[str, Any] = {}
        for what in list(self.encoders):
            try:
                with self.part.naming():
                    made[what] = self.encoders[what](rows)
            except UserError as error:
                self.problems += error.problems
                del self.encoders[what]
        if self._all and not self.problems:
            ids, numbers, lists = made["inputs"]
            self.writer.add(Batch(ids, numbers, made["labels"], made["weights"], lists))


def encoding_key(encoder: Encoder, labels: Labels) -> str:
    """Stands for how they encode."""
    return key_of([encoder.to_json(), labels.to_json(), label_facts(labels.tasks)])
