"""What an estimator prints while it trains."""

from collections.abc import Mapping
from typing import Any


def print_line(line: Mapping[str, Any]) -> None:
    """A line of the history as a person reads it: an epoch's score, or losses since the last line."""
    if line.get("score") is not None:
        print(f"epoch {line['epoch'] + 1}: validation score {line['score']:.4f}{' (best)' if line['best'] else ''}")
    elif "losses" in line:
        told = ", ".join(f"{name} {loss:.4f}" for name, loss in line["losses"].items() if loss is not None)
        print(f"epoch {line['epoch'] + 1}, step {line['step']}: {told}")
