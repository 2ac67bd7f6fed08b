"""Rows of one part of a finished run, from frames or from the files of its config, encoded as the run encoded them."""

from collections.abc import Mapping
from typing import Any

from trunkline.assembly.tasks import build_features
from trunkline.errors import Problems, UserError
from trunkline.inference.model import Model
from trunkline.preparation.encoding import encode_parts, encoding_key
from trunkline.preparation.partition import Frame, Partition, open_parts, refuse_databases
from trunkline.preparation.store_folder import store_folder
from trunkline.tables import Store
from trunkline.tables.frames import as_polars
from trunkline.tables.splits import PARTS

_HELD_OUT = ("test", "valid")


def run_rows(model: Model, frames: Mapping[str, Any], part: str | None) -> tuple[str, Store]:
    """The part and its rows; other parts are not read.

    Args:
        model: of the run.
        frames: rows given in memory, by part; they come before files.
        part: one of `PARTS`; None for the test rows where there are any, else the validation rows.

    Raises:
        UserError: there are no such rows, or no longer; they cannot be encoded.
    """
    found = _find(model, frames, part)
    folder, key, problems = store_folder(model.config.data), encoding_key(model.encoder, model.labels), Problems()
    stores = encode_parts([found], folder, model.encoder, model.labels, key, problems)
    problems.raise_if_any()
    return found.name, stores[found.name]


def _find(model: Model, frames: Mapping[str, Any], part: str | None) -> Partition:
    given = {name: as_polars(frame) for name, frame in frames.items()}
    wanted = _HELD_OUT if part is None else (part,)
    whole = {name: frame for name, frame in given.items() if name != "train" or model.config.data.split is None}
    for name in wanted:
        if name in whole:
            return Partition(name, Frame(whole[name]))
    refuse_databases(model.config.data, given, run=str(model.path))
    try:
        parts = open_parts(
            model.config.data,
            given,
            features=build_features(model.config) or (),
            texts=model.config.written_labels,
            strata=model.config.strata,
        )
    except UserError as error:
        if given:
            raise
        raise UserError(f"the run's rows are not there: {error.problems[0]}; give them: {wanted[0]}=frame") from error
    for name in wanted:
        if name in parts:
            return parts[name]
    there = ", ".join(name for name in PARTS if name in parts)
    raise UserError(
        f"the run has no {' or '.join(wanted)} rows; it has {there}: give some ({wanted[0]}=frame), or ask for a part "
        "that is there (those of train flatter a network that has learnt them)"
    )
