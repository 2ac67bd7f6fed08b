"""Metric names and parameters as MLflow takes them."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

LONGEST_NAME = 250
LONGEST_VALUE = 500
"""Letters: what servers of every age take; new ones take 6000, and `config.yaml` has everything."""
MOST = 1000
"""Parameters of a run."""


def mlflow_name(*parts: str) -> str:
    """A metric's or parameter's name as MLflow takes it, its parts with `/` between them.

    What is no letter, digit, `_`, `-`, `.` or space in a part is written `_x26_`, after its code, and `_x` itself
    `_x5f_x`: so no two names become one. A name of more than 250 letters is cut, and ends with a digest of the whole.
    """
    written = "/".join(_written(part) for part in parts)
    if len(written) <= LONGEST_NAME:
        return written
    digest = hashlib.sha256(written.encode()).hexdigest()[:16]
    return f"{written[: LONGEST_NAME - len(digest) - 1]}_{digest}"


def mlflow_params(config: Mapping[str, Any]) -> dict[str, str]:
    """The values of a config by dotted path, the features' last, as MLflow takes them: not too long, not too many."""
    ordered = {key: value for key, value in config.items() if key != "features"}
    leaves = dict(_leaves("", {**ordered, "features": config.get("features")}))
    return dict(list(leaves.items())[:MOST])


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}" if path else str(key), inner)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        cut = text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
        yield mlflow_name(path), cut


def _written(part: str) -> str:
    # A dot in front may be the file system's: `.`, `..`.
    return re.sub(r"^\.|_(?=x)|[^\w. -]", lambda found: _code(found[0]), part) or "_x_"


def _code(letter: str) -> str:
    return f"_x{ord(letter):x}_"
