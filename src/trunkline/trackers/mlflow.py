"""MLflow: a training as one of its runs."""

import json
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import Any, final

import yaml

from trunkline.errors import UserError
from trunkline.runs.files import write_json
from trunkline.runs.folder import RunFolder
from trunkline.trackers.base import Outcome, Tracker, tell
from trunkline.trackers.mlflow_environment import mlflow_environment
from trunkline.trackers.mlflow_names import mlflow_name, mlflow_params
from trunkline.trackers.mlflow_server import MLflowServer, reason
from trunkline.trackers.scalars import scalars
from trunkline.trackers.sender import Sender

STATUS: dict[Outcome, str] = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
MOST = 1000
"""Metrics that a server takes at once."""


@final
class MLflow(Tracker):
    """Logs to an MLflow server, or to the database that MLflow takes without one (the extra `trunkline[mlflow]`).

    The server is asked for a run before the training; everything after goes through a thread that waits for it. Should
    it go away, the training goes on, and what could not be sent is sent when it is back, or when the run is resumed.
    A resumed training goes on with its MLflow run. What that has of a step it keeps, though a killed training did the
    step again: MLflow would show both.

    Args:
        uri: as MLflow takes it, `http://…` or `sqlite:///…`; MLflow's own default if not given.
        experiment: made if there is none of that name; MLflow's own default if not given.
        name: of the run; the run folder's if not given.

    Raises:
        UserError: a uri with a password in it.
    """

    def __init__(self, *, uri: str | None = None, experiment: str | None = None, name: str | None = None) -> None:
        if uri is not None and re.search(r"//[^/@]*:[^/@]*@", uri):
            raise UserError(
                "a password in the config would be kept in the run folder and sent to MLflow; give this uri in the "
                "environment variable MLFLOW_TRACKING_URI instead"
            )
        self.uri, self.experiment, self.name = uri, experiment, name
        self._metrics: SimpleQueue[Any] = SimpleQueue()
        self._unsent: list[Any] = []
        self._open = ExitStack()

    def check(self) -> None:
        """See `Tracker`."""
        with mlflow_environment():
            MLflowServer(self.uri)

    def start(self, run: RunFolder, lines: Sequence[dict[str, Any]], *, step: int) -> None:
        """See `Tracker`."""
        with ExitStack() as stack:
            stack.enter_context(mlflow_environment())
            self._server = MLflowServer(self.uri)
            known = self._server.run(
                _known(run, self._server.address), experiment=self.experiment, name=self.name or run.path.resolve().name
            )
            self._id, self._last = known.id, known.steps
            write_json(run.mlflow, {"uri": self._server.address, "run": known.id})
            self._sender = Sender(lasting=self._server.refuses, tell=self._tell)
            self._open = stack.pop_all()
        params = mlflow_params(yaml.safe_load(run.config.read_text(encoding="utf-8")))
        # MLflow refuses to change one; a resumed training may have another number of epochs.
        new = {name: value for name, value in params.items() if name not in known.params}
        self._sender.put(lambda: self._server.log_params(self._id, new))
        self._sender.put(lambda: self._server.log_file(self._id, run.config))
        for line in lines:
            self.line(line)

    def line(self, line: dict[str, Any]) -> None:
        """See `Tracker`."""
        now, step = time.time_ns() // 10**6, line["step"]
        for key, value in scalars(line).items():
            name = mlflow_name(*key.split("/"))
            if step > self._last.get(name, -1):
                self._metrics.put(self._server.metric(name, value, now, step))
        self._sender.put(self._send_metrics)

    def end(self, run: RunFolder, outcome: Outcome) -> None:
        """See `Tracker`."""
        if outcome == "finished":
            self._sender.put(lambda: self._server.log_file(self._id, run.metrics))
        self._sender.put(lambda: self._server.end(self._id, STATUS[outcome]))
        try:
            self._sender.close()
        finally:
            self._open.close()

    def _send_metrics(self) -> None:
        """Send all metrics that wait, as many at once as can be: what piled up while the server was away goes fast."""
        while True:
            try:
                while len(self._unsent) < MOST:
                    self._unsent.append(self._metrics.get_nowait())
            except Empty:
                pass
            if not self._unsent:
                return
            try:
                self._server.log_metrics(self._id, self._unsent)
            except Exception as error:
                if self._server.refuses(error):
                    self._unsent = []
                raise
            self._unsent = []

    def _tell(self, error: Exception) -> None:
        later = "" if self._server.refuses(error) else "; what is missing there is sent once it answers, or on resuming"
        tell(f"MLflow at {self._server.address}: {reason(error)}; the training goes on{later}")


def _known(run: RunFolder, address: str) -> str | None:
    """The MLflow run that an earlier start has begun at that address."""
    try:
        facts = json.loads(run.mlflow.read_text(encoding="utf-8"))
        return str(facts["run"]) if facts["uri"] == address else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
