"""The selected epoch's network, on its way into the run folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from trunkline.runs.tensors import write_tensors


@final
class BestNetwork:
    """Keeps the network of the best epoch so far: in its file at once, or in memory until the training ends.

    Nobody reads a temporary folder meanwhile, and what lies there need not survive a power cut: of a small table the
    files of every epoch would take longer than the training.

    Args:
        network: that is trained.
        path: the file.
        at_once: whether the file is written with every better epoch.
    """

    def __init__(self, network: nn.Module, path: Path, *, at_once: bool) -> None:
        self._network, self._path, self._at_once = network, path, at_once
        self._write: Callable[[], None] | None = None

    def keep(self, facts: Mapping[str, Any]) -> None:
        """Keep the network as it is now, with JSON facts beside it.

        Raises:
            UserError: the file cannot be written.
        """
        if self._at_once:
            write_tensors(self._path, self._network.state_dict(), facts)
            return
        tensors: dict[str, Tensor] = {k: v.detach().cpu().clone() for k, v in self._network.state_dict().items()}
        self._write = lambda: write_tensors(self._path, tensors, facts)

    def write(self) -> None:
        """Write what waits in memory.

        Raises:
            UserError: the file cannot be written.
        """
        if self._write is not None:
            self._write()
            self._write = None
