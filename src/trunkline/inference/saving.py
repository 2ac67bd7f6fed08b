"""Saving: a run folder of its own for a model."""

import shutil
from collections.abc import Mapping

from torch import Tensor

from trunkline.errors import UserError
from trunkline.inference.calibration import Calibrators, write_calibrators
from trunkline.runs.files import beside
from trunkline.runs.folder import RunFolder
from trunkline.runs.tensors import read_tensors, write_tensors


def save_run(
    source: RunFolder,
    target: RunFolder,
    tensors: Mapping[str, Tensor],
    *,
    calibrators: Calibrators,
    overwrite: bool = False,
) -> None:
    """Write a model and what belongs to it into another folder, a run like any other.

    Args:
        source: the model's run folder.
        target: where to write.
        tensors: the network's, as they are in memory.
        calibrators: corrections of estimates, likewise.
        overwrite: replace a run that lies there.

    Raises:
        UserError: the target is the source, or holds another run and `overwrite` is false; what cannot be written.
    """
    if target.path.resolve() == source.path.resolve():
        raise UserError(f"{target.path} is the folder in which this model lies already; name another one")
    _, facts = read_tensors(source.model)
    with target.locked():
        target.start(overwrite=overwrite)
        copied = ("config", "encoder", "history", "metrics", "curves", "points", "profile", "checkpoint")
        for file in (getattr(source, name) for name in copied):
            if file.exists():
                with beside(target.path / file.relative_to(source.path)) as partial:
                    shutil.copyfile(file, partial)
        if calibrators:
            write_calibrators(target.calibration, calibrators)
        write_tensors(target.model, tensors, facts)  # last: a folder without it is no model
