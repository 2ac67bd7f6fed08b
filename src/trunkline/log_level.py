"""Log level: warnings of trunkline held back for a while."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def only_errors(*, wanted: bool = True) -> Iterator[None]:
    """Where nothing but errors is logged, if that is wanted."""
    logger = logging.getLogger("trunkline")
    level = logger.level
    if wanted:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
