"""A model's run folder as bytes, for pickles: safetensors, JSON and YAML, no object of torch's."""

from pathlib import Path

from trunkline.inference.model import Model
from trunkline.runs.folder import RunFolder, TemporaryFolder


def pack(model: Model) -> dict[str, bytes]:
    """The files that a model needs, and its scores and history, by name."""
    run = RunFolder(model.path)
    kept = (run.config, run.encoder, run.model, run.calibration, run.metrics, run.curves, run.history)
    return {path.name: path.read_bytes() for path in kept if path.exists()}


def unpack(files: dict[str, bytes], *, device: str) -> Model:
    """The model of such files, in a temporary folder that goes with it.

    Args:
        files: what `pack` gave.
        device: as in `Model.load`.

    Raises:
        UserError: they are damaged or do not fit together.
    """
    folder = TemporaryFolder()
    for name, content in files.items():
        (folder.path / Path(name).name).write_bytes(content)
    return Model.load(folder.path, device=device, holder=folder)
