"""TensorBoard: a training in its event files."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

from trunkline.errors import UserError
from trunkline.runs.folder import RunFolder
from trunkline.trackers.base import Outcome, Tracker
from trunkline.trackers.scalars import scalars

EVENTS = "events.out.tfevents."
"""How the names of the files begin that TensorBoard reads."""


@final
class TensorBoard(Tracker):
    """Writes event files that `tensorboard --logdir` shows (the extra `trunkline[tensorboard]`).

    A line of the history is one record, flushed at once: nothing is lost when the process is killed, and whoever
    watches sees it. TensorFlow is not looked for, though TensorBoard's own writer would load it.

    Args:
        folder: where several runs lie side by side, this one in a folder of the run folder's name; `tensorboard/` in
            the run folder by default.

    Raises:
        UserError: the folder cannot be written (`start`), the library is not there (`check`, `start`).
    """

    def __init__(self, *, folder: str | None = None) -> None:
        self.folder = folder

    def check(self) -> None:
        """See `Tracker`."""
        _library()

    def start(self, run: RunFolder, lines: Sequence[dict[str, Any]], *, step: int) -> None:
        """See `Tracker`."""
        self._events, summaries, writer = _library()
        folder = run.tensorboard if self.folder is None else Path(self.folder) / run.path.resolve().name
        # What was written of this step and later ones counts no more: they come again.
        first = step if any(folder.glob(f"{EVENTS}*")) else 0
        # Readers take files in the order of their names.
        seconds, rest = divmod(time.time_ns(), 10**9)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Closed by `end`: it is open as long as the training runs.
            file = (folder / f"{EVENTS}{seconds:010d}.{rest:09d}.trunkline").open("xb")
        except OSError as error:
            raise UserError(f"training.trackers: {folder} cannot be written: {error}") from error
        self._writer, self._summary = writer(file), summaries.Summary
        self._write(0, file_version="brain.Event:2")
        log = self._events.SessionLog
        self._write(first, session_log=log(status=log.START))
        if first == 0:
            self._write(0, summary=self._summary(value=[_text(summaries, "config", run.config.read_text("utf-8"))]))
        for line in lines:
            if line["step"] >= first:
                self.line(line)

    def line(self, line: dict[str, Any]) -> None:
        """See `Tracker`."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in scalars(line).items()]
        self._write(line["step"], summary=self._summary(value=values))

    def end(self, run: RunFolder, outcome: Outcome) -> None:
        """See `Tracker`."""
        self._writer.close()

    def _write(
        self, step: int, *, file_version: str | None = None, session_log: Any = None, summary: Any = None
    ) -> None:
        event = self._events.Event(
            wall_time=time.time(), step=step, file_version=file_version, session_log=session_log, summary=summary
        )
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _text(summaries: Any, name: str, text: str) -> Any:
    """A text for TensorBoard's text page, which shows Markdown: four spaces in front keep it as it is."""
    from tensorboard.compat.proto.tensor_pb2 import TensorProto

    shown = "\n".join(f"    {line}" for line in text.splitlines())
    kind = summaries.SummaryMetadata(plugin_data=summaries.SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(dtype="DT_STRING", string_val=[shown.encode()])
    return summaries.Summary.Value(tag=f"{name}/text_summary", metadata=kind, tensor=tensor)


def _library() -> tuple[Any, Any, Any]:
    """Events, summaries and what writes them into a file."""
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        raise UserError(
            f"training.trackers: tensorboard is not installed ({error}); pip install 'trunkline[tensorboard]'"
        ) from error
    return event_pb2, summary_pb2, RecordWriter
