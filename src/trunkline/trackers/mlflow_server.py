"""MLflow's client: what is asked of it, and what its errors mean."""

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from trunkline.errors import UserError


@final
@dataclass(frozen=True)
class KnownRun:
    """A run as MLflow knows it."""

    id: str
    params: dict[str, str]
    steps: dict[str, int]
    """Each metric's last step."""


@final
class MLflowServer:
    """An MLflow server or database; to be made and used within `mlflow_environment`.

    Args:
        uri: where it is; MLflow's own default if not given.

    Raises:
        UserError: mlflow is not installed; the server does not answer.
    """

    def __init__(self, uri: str | None) -> None:
        library = _library()
        self._entities = library.entities
        self.address = _hidden(uri or "its default place")
        with self._asking():
            self._client = library.MlflowClient(tracking_uri=uri)
            self.address = _hidden(self._client.tracking_uri)
            self._client.search_experiments(max_results=1)

    def run(self, known: str | None, *, experiment: str | None, name: str) -> KnownRun:
        """The run to log to, running: that of the id, if it is there, or a new one.

        Raises:
            UserError: what MLflow refuses.
        """
        with self._asking():
            found = self._find(known) if known else None
            if found is None:
                found = self._client.create_run(self._experiment(experiment), run_name=name)
            else:
                self._client.update_run(found.info.run_id, status="RUNNING")
            # Of a run's public parts only its message says the steps of its metrics.
            steps = {metric.key: metric.step for metric in found.data.to_proto().metrics}
            return KnownRun(found.info.run_id, dict(found.data.params), steps)

    def metric(self, name: str, value: float, milliseconds: int, step: int) -> Any:
        """A metric's value, to be logged."""
        return self._entities.Metric(name, value, milliseconds, step)

    def log_metrics(self, run: str, metrics: Sequence[Any]) -> None:
        """Log values of metrics, 1000 at most."""
        self._client.log_batch(run, metrics=metrics)

    def log_params(self, run: str, params: Mapping[str, str]) -> None:
        """Log parameters that the run does not have yet."""
        self._client.log_batch(run, params=[self._entities.Param(name, value) for name, value in params.items()])

    def log_file(self, run: str, path: Path) -> None:
        """Log a file as an artifact of its name."""
        self._client.log_artifact(run, str(path))

    def end(self, run: str, status: str) -> None:
        """Say how a run ended."""
        self._client.set_terminated(run, status)

    def refuses(self, error: Exception) -> bool:
        """Whether what was asked will never be taken; else the server, or the way there, may be back later."""
        status = getattr(error, "get_http_status_code", None)  # of MLflow's own errors
        if status is None:
            return not isinstance(error, OSError)
        return 400 <= status() < 500 and status() not in (408, 429)

    def _find(self, run: str) -> Any:
        """The run of that id; None where there is none or it was deleted."""
        try:
            found = self._client.get_run(run)
        except Exception as error:
            if getattr(error, "error_code", None) in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return found if found.info.lifecycle_stage == "active" else None

    def _experiment(self, name: str | None) -> str:
        """The id of an experiment, made if it is not there; without a name what MLflow's own `start_run` takes."""
        if name is None and (known := os.environ.get("MLFLOW_EXPERIMENT_ID")):
            return known
        name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return str(self._client.create_experiment(name))
            except Exception as error:
                if getattr(error, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._client.get_experiment_by_name(name)  # another training was first
        return str(found.experiment_id)

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # MLflow's own, about libraries of its own
                yield
        except Exception as error:
            raise UserError(
                f"training.trackers: MLflow at {self.address}: {reason(error)}; give the uri of a server or database "
                "that is there, or leave mlflow out"
            ) from error


def reason(error: BaseException) -> str:
    """What went wrong, in a line: the system's words where there are any, else MLflow's."""
    root = error
    while (below := root.__cause__ or root.__context__) is not None:
        root = below
    return (str(root if isinstance(root, OSError) else error).splitlines() or [type(error).__name__])[0]


def _hidden(uri: str) -> str:
    """A URI without user and password."""
    return re.sub(r"//[^/@]*@", "//", uri)


def _library() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow
    except ImportError as error:
        raise UserError(
            f"training.trackers: mlflow is not installed ({error}); pip install 'trunkline[mlflow]'"
        ) from error
    return mlflow
