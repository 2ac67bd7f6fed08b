"""MLflow's environment variables while a training logs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

FIXED = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default the client waits for minutes, on whatever thread; `Sender` tries again instead.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    # Its line on stdout would stand in the table of scores.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
DEFAULTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""Seconds; unless the user says otherwise."""


@contextmanager
def mlflow_environment() -> Iterator[None]:
    """MLflow without telemetry, retries and words of its own; the environment is put back afterwards.

    The client reads these variables at each call and takes none of them as arguments. Its telemetry is switched off
    when it is imported and asked about at each call.
    """
    before = {name: os.environ.get(name) for name in (*FIXED, *DEFAULTS)}
    os.environ.update(FIXED)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
