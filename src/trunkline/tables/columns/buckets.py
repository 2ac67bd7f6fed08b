"""Hashed ids: each value's hash is its row of the embedding table."""

from collections.abc import Mapping
from typing import Any, Self, final

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING, UNSEEN
from trunkline.tables.columns.base import MOST_ROWS
from trunkline.tables.columns.stable_hash import stable_hash
from trunkline.tables.columns.vocabulary import missing_in


@final
class Buckets:
    """So many rows for any number of values; two values may share one.

    Args:
        count: how many rows the values are spread over.
        salt: the feature's name, so that values which share a row in one feature do not in another.

    Raises:
        UserError: no row, or more than ids of 32 bits can tell apart.
    """

    def __init__(self, count: int, salt: str) -> None:
        if not 1 <= count <= MOST_ROWS:
            raise UserError(f"{count} rows to hash into: it must be 1 to {MOST_ROWS}")
        self.count, self.salt = count, salt

    @property
    def rows(self) -> int:
        """Rows of the embedding table: those of the values after two as in a vocabulary, of which unseen is unused."""
        return self.count + 2

    def write_codes(self, series: pl.Series, out: np.ndarray) -> None:
        """Write rows of the table over `out` `[N]` int32: 0 where null or NaN.

        Raises:
            BadValue: a number that is not whole.
            UserError: a column of neither text nor whole numbers.
        """
        hashes = stable_hash(series, salt=self.salt)
        hashes %= np.uint64(self.count)
        np.add(hashes, np.uint64(UNSEEN + 1), out=out, casting="unsafe")
        missing = missing_in(series)
        if missing is not None:
            np.copyto(out, MISSING, where=missing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buckets) and (self.count, self.salt) == (other.count, other.salt)

    __hash__ = None  # type: ignore[assignment]

    def to_json(self) -> dict[str, Any]:
        """Plain values from which `from_json` makes an equal one."""
        return {"buckets": self.count, "salt": self.salt}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """What `to_json` wrote.

        Raises:
            TypeError: it is something else.
            UserError: a count that makes no buckets.
        """
        count, salt = fields["buckets"], fields["salt"]
        if type(count) is not int or not isinstance(salt, str):
            raise TypeError(f"{count!r} buckets with salt {salt!r}: a whole number and text")
        return cls(count, salt)
