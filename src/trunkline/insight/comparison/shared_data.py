"""One encoded store for all runs of a comparison, in whatever process they are."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.insight.statistics.predictions import Judged
from trunkline.preparation.data import Data
from trunkline.runs.artifacts import read_fitted
from trunkline.tables import Store
from trunkline.tables.store import named_arrays
from trunkline.tables.writer import Writer


def rows_key(data: Data) -> str:
    """Stands for the encoded rows of every part, and for what encoded them."""
    digest = hashlib.blake2b(data.encoder.to_json().encode(), digest_size=16)
    for part, store in data.stores.items():
        digest.update(f"{part} {len(store)} ".encode())
        if store.folder is not None:
            digest.update(store.folder.name.encode())  # a store's name stands for its content
            continue
        for name, array in named_arrays(store.rows).items():
            digest.update(name.encode())
            digest.update(array.data if array.flags.c_contiguous else array.tobytes())
    return digest.hexdigest()


def shared(data: Data, folder: Path, key: str) -> dict[str, str]:
    """Where other processes find the stores `{part: folder}`; rows in memory are written first.

    Raises:
        UserError: the folder cannot be written.
    """
    places = {}
    for part, store in data.stores.items():
        place = store.folder
        if place is None:
            place = folder / f"{part}-{key}"
            if Store.open(place) is None:
                with Writer(place) as writer:
                    writer.add(store.rows)
                    writer.done(store.facts)
        places[part] = str(place.resolve())
    return places


def opened(config: Config, encoder: Path, places: Mapping[str, str]) -> Data:
    """The encoded rows that `shared` put there.

    Raises:
        UserError: they are gone, or damaged.
    """
    fitted, labels = read_fitted(encoder, build_tasks(config))
    stores = {}
    for part, place in places.items():
        store = Store.open(Path(place))
        if store is None:
            raise UserError(f"the encoded rows in {place} are gone, or damaged; start again")
        stores[part] = store
    return Data(fitted, labels, stores, [], None)


def judges(data: Data) -> dict[str, Judged]:
    """The test rows of every task."""
    rows = data.stores["test"].rows
    return {task.name: Judged(task, rows.labels[task.name], rows.weights.get(task.name)) for task in data.labels.tasks}


def facts(data: Data) -> dict[str, Any]:
    """How many rows each part has."""
    return {part: len(store) for part, store in data.stores.items()}
