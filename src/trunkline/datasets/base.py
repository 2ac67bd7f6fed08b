"""A public data set that is fetched, checked and written as three Parquet files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import polars as pl

from trunkline.datasets.download import Progress, download, silent
from trunkline.datasets.originals import Original, unpack
from trunkline.datasets.publish import publish, workplace
from trunkline.errors import Problems, UserError


@final
@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A public data set: where to get it and how to prepare it.

    Args:
        name: the name on the command line.
        about: one line: rows and targets.
        licence: the licence of the data, and who is to be named.
        url: the owner's address of the archive.
        archive: the archive's name, with its size and hash where the owner publishes them.
        editions: the forms in which the originals may lie in a folder, each a tuple of files; the first
            is the one inside the archive.
        prepare: turns checked originals (by name) into the tables `train`, `valid` and `test`.
    """

    name: str
    about: str
    licence: str
    url: str
    archive: Original
    editions: tuple[tuple[Original, ...], ...]
    prepare: Callable[[Mapping[str, Path]], Mapping[str, pl.DataFrame]]

    def write(
        self,
        directory: Path,
        mirror: Path | None = None,
        *,
        overwrite: bool = False,
        progress: Progress = silent,
    ) -> dict[str, Path]:
        """Write `train.parquet`, `valid.parquet` and `test.parquet` into `directory`.

        Each file appears whole or not at all; a call that fails leaves `directory` as it was.

        Args:
            directory: made if it does not exist.
            mirror: a folder with the archive or the originals; without it they are downloaded.
            overwrite: replace files that hold something else.
            progress: told of every block of a download.

        Returns:
            The three paths, by split.

        Raises:
            UserError: if the originals cannot be had or are not the published ones, or `directory` cannot
                be written or holds other files of these names.
        """
        with workplace(directory) as work:
            originals = self._originals(mirror, work, progress)
            try:
                tables = self.prepare(originals)
            except pl.exceptions.PolarsError as error:
                # Only an original without a published hash can get this far and be something else.
                raise UserError(
                    f"the originals of {self.name} cannot be read ({error}); get {self.archive.name} from "
                    f"{self.url} and name the folder that holds it with --from FOLDER"
                ) from error
            return publish(tables, directory, work, overwrite=overwrite)

    def _originals(self, mirror: Path | None, work: Path, progress: Progress) -> dict[str, Path]:
        if mirror is None:
            archive = work / self.archive.name
            download(self.url, archive, progress=progress)
            return self._from_archive(archive, self.url, work)
        if not mirror.is_dir():
            raise UserError(f"--from {mirror} is not a folder; name one that holds the originals of {self.name}")
        whole = (edition for edition in self.editions if all(file.find(mirror) for file in edition))
        if edition := next(whole, None):
            return self._from_folder(edition, mirror, str(mirror), work)
        if (archive := mirror / self.archive.name).is_file():
            return self._from_archive(archive, str(archive), work)
        nearest = max(self.editions, key=lambda edition: sum(bool(file.find(mirror)) for file in edition))
        return self._from_folder(nearest, mirror, str(mirror), work)

    def _from_archive(self, archive: Path, shown: str, work: Path) -> dict[str, Path]:
        problems = Problems()
        self.archive.check(archive, shown, problems)
        problems.raise_if_any()
        folder = work / "originals"
        folder.mkdir()
        unpack(archive, {file.name for file in self.editions[0]}, folder, shown=shown)
        return self._from_folder(self.editions[0], folder, shown, work)

    def _from_folder(self, edition: tuple[Original, ...], folder: Path, place: str, work: Path) -> dict[str, Path]:
        problems = Problems()
        paths: dict[str, Path] = {}
        for file in edition:
            if source := file.find(folder):
                paths[file.name] = file.unpacked(source, work, place, problems)
            else:
                problems.add(
                    f"{file.name} (or {file.name}.gz, {file.name}.bz2) is not in {place}; get "
                    f"{self.archive.name} from {self.url}, put it into a folder, packed or unpacked, and "
                    "name that folder with --from FOLDER"
                )
        problems.raise_if_any()
        return paths
