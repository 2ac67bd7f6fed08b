"""Stable hashing of ids: every machine, process and version agrees."""

from functools import lru_cache

import numpy as np
import polars as pl

from trunkline.errors import UserError
from trunkline.tables.columns.splitmix import splitmix
from trunkline.tables.rows import refuse_where

FEW = 100
"""Texts that are quicker taken one by one."""
_ZERO, _MINUS, _POINT = b"0-."
_MINUS_TO_ZERO = np.uint64(_ZERO ^ _MINUS)
# in every byte of a word: "0"; what carries a value above 9 into the highest bit; that bit
_ZEROS, _OVER, _HIGH = np.uint64(0x3030303030303030), np.uint64(0x7676767676767676), np.uint64(0x8080808080808080)
# _KEEP[k] keeps the first k bytes of a word
_KEEP = np.array([256**k - 1 for k in range(9)], dtype=np.uint64)


def stable_hash(series: pl.Series, *, salt: str) -> np.ndarray:
    """`[N]` uint64 of text or whole numbers; of any value where null or NaN.

    A number x has splitmix64(x xor seed), x in 64 bits of two's complement, and the seed is the salt's own hash with
    seed 0. Text of n bytes starts at splitmix64(~seed + n) and takes in each 8 bytes w, little-endian and filled up
    with zeros, as h <- splitmix64(h xor w). Text that reads as a whole number of 64 bits hashes as that number, so that
    a column means the same in CSV, in Parquet and in a frame that made floats of it.

    Args:
        series: text, whole numbers in any type, or booleans (as `true` and `false`).
        salt: changes the hash of everything.

    Raises:
        BadValue: a number that is not whole, or of more than 64 bits.
        UserError: a column of another type.
    """
    series = as_hashable(series)
    seed = _seed(salt)
    if series.dtype.is_integer():
        return _hash_numbers(series, seed)
    return _hash_texts(series.fill_null("") if series.null_count() else series, seed)


def as_hashable(series: pl.Series) -> pl.Series:
    """The values as Int64, UInt64 or text.

    Raises:
        BadValue: a number that is not whole, or of more than 64 bits.
        UserError: a column of another type.
    """
    dtype = series.dtype
    if dtype in (pl.Int64, pl.UInt64, pl.String):
        return series
    if dtype in (pl.Int8, pl.Int16, pl.Int32, pl.UInt8, pl.UInt16, pl.UInt32):
        return series.cast(pl.Int64)
    if dtype.is_float():
        known = series.cast(pl.Float64).fill_nan(None)
        whole = (known.floor() == known) & (known.abs() < 2.0**63)
        refuse_where(series, ~whole.fill_null(True), "a hashed column holds text or whole numbers of up to 63 bits")
        return known.cast(pl.Int64)
    if dtype in (pl.Categorical, pl.Enum, pl.Boolean, pl.Null) or dtype.is_decimal() or dtype.is_integer():
        return series.cast(pl.String)
    raise UserError(f"column {series.name!r} is {dtype}; a hashed column holds text or whole numbers")


@lru_cache(maxsize=1024)
def _seed(salt: str) -> np.uint64:
    return np.uint64(_hash_texts(pl.Series([salt]), np.uint64(0))[0])


def _hash_numbers(series: pl.Series, seed: np.uint64) -> np.ndarray:
    numbers = series.fill_null(0) if series.null_count() else series
    return splitmix(numbers.to_numpy().view(np.uint64) ^ seed)


def _hash_texts(texts: pl.Series, seed: np.uint64) -> np.ndarray:
    """All text as one run of bytes; each round takes in one more word of every text that is long enough."""
    run, lengths = _joined(texts)
    # Eight zeros behind the last text let its last word be read whole, one before the first gives "" a last byte.
    data = np.frombuffer(b"\0" + run + bytes(8), dtype=np.uint8)
    words = np.ndarray(len(data) - 7, dtype="<u8", buffer=data, strides=(1,))
    ends = lengths.cumsum() + 1
    starts = ends - lengths
    minus = (data[starts] == _MINUS) & (lengths > 1)
    digits = lengths > 0
    hashes = splitmix(lengths.view(np.uint64) + ~seed)
    rows, left, place = np.arange(len(texts)), lengths, starts
    while True:
        more = left > 0
        if not more.all():
            rows, left, place = rows[more], left[more], place[more]
        if not len(rows):
            break
        keep = _KEEP[np.minimum(left, 8)]
        word = words[place].astype(np.uint64, copy=False) & keep
        here = rows if len(rows) < len(texts) else slice(None)
        sign = minus[here] & (place == starts[here])
        digits[here] &= _all_digits(word ^ sign * _MINUS_TO_ZERO, keep)
        hashes[here] = splitmix(word ^ hashes[here])
        left, place = left - 8, place + 8
    digits &= (data[starts + minus] != _ZERO) | (lengths == 1)
    if digits.any():
        _rehash_numbers(texts.filter(digits), np.flatnonzero(digits), hashes, seed)
    if (data == _POINT).any():
        point = (data[ends - 1] == _ZERO) & ~digits
        whole = texts.filter(point).str.extract(r"^(0|-?[1-9][0-9]*)\.0+$")
        _rehash_numbers(whole, np.flatnonzero(point), hashes, seed)
    return hashes


def _joined(texts: pl.Series) -> tuple[bytes, np.ndarray]:
    """All text in one, and the bytes of each."""
    if len(texts) < FEW:
        parts = [text.encode() for text in texts.to_list()]
        return b"".join(parts), np.array([len(part) for part in parts], dtype=np.int64)
    return texts.str.join("").item().encode(), texts.str.len_bytes().to_numpy().astype(np.int64)


def _all_digits(word: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """Whether each byte of a word that is kept is a digit: 8 comparisons in a few instructions."""
    apart = (word | (_ZEROS & ~keep)) ^ _ZEROS  # a digit is now its value
    digits: np.ndarray = ((apart + _OVER) | apart) & _HIGH == 0
    return digits


def _rehash_numbers(digits: pl.Series, rows: np.ndarray, hashes: np.ndarray, seed: np.uint64) -> None:
    """Give rows whose text is a whole number of 64 bits the hash of that number."""
    for dtype in (pl.Int64(), pl.UInt64()):
        numbers = digits.cast(dtype, strict=False)
        known = numbers.is_not_null().to_numpy()
        hashes[rows[known]] = _hash_numbers(numbers.drop_nulls(), seed)
        if known.all():
            break
