"""From a column's values to the kind of feature that it is."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
import polars as pl

from trunkline.tables.doctor.joined import joined
from trunkline.tables.doctor.sheet import Choice, ColumnSheet
from trunkline.tables.number_format import Recognised, recognise
from trunkline.tables.rows import ROW
from trunkline.tables.time_format import ISO, recognise_times, unit_of

FEW = 50
"""Rows below which nothing is concluded from values that do not repeat."""
SURE = 0.9
"""Share of the cells that must be numbers where the others are a few words."""
EXACT = 2**24
"""Whole numbers beyond it are not exact in float32."""
ONE_VALUE, NO_VALUE = "one value in all rows", "no value in any row"
ONCE = "another one in every row"
LEAST_CODES, MOST_SPREAD, UNLIKE = 30, 50, 0.4
"""Different values, and how far they may be apart, for their frequencies to be compared; the step between the
logarithms of neighbours' frequencies, beyond their noise, from which whole numbers are codes."""
GAPS = 0.25
"""Share of whole numbers that never come, between the least and the greatest, from which they are codes."""
_TEXT = (pl.String, pl.Categorical, pl.Enum)
_ID = re.compile(r"(^|_|\b)(ids?|IDs?|Ids?)$|[a-z]I[dD]s?$|(^|_)(uuid|guid|hash)($|_)", re.ASCII)
_CODE = re.compile(
    r"(^|_|\s)(zip|zipcode|postcode|postal|plz|phone|telephone|sku|ean|isbn|gtin|barcode|iban)($|_|\s|code)", re.I
)
_TIME = re.compile(r"(time|date|stamp|epoch|unix|moment|(^|_)(ts|day|when|created|updated|seen)|_at)($|_|\d)", re.I)
_INDEX = re.compile(r"|unnamed: ?\d+|_duplicated_\d+|index|row_?(number|nr|num|id)?|__index_level_\d+__", re.I)


@final
@dataclass(frozen=True)
class Taken:
    """A decision: the kind (None: left out), its options, the reason, remarks, and other readings."""

    kind: str | None
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    choices: Sequence[Choice] = ()


def examine(frame: pl.DataFrame, *, leave_out: Collection[str] = (), comma_likely: bool = False) -> list[ColumnSheet]:
    """A sheet for every column that may be a feature, in the order of the columns.

    Args:
        frame: training rows, or an even sample of them, with their numbers in `__row__` if the order means something.
        leave_out: columns that are no features: labels, weights, row keys.
        comma_likely: whether a decimal comma is to be expected: fields are separated by semicolons.
    """
    names = [name for name in frame.columns if name != ROW and name not in leave_out]
    rows = frame[ROW] if ROW in frame.columns else None
    sheets: list[ColumnSheet] = []
    seen: dict[tuple[str, int], str] = {}
    for name in names:
        series = frame[name]
        known = _known(series)
        distinct = _distinct(known)
        taken = _take(series, known, distinct, rows, comma_likely=comma_likely)
        if taken.kind is not None and distinct is not None and len(series) >= FEW:
            mark = (str(series.dtype), int(series.hash().sum()))
            other = seen.setdefault(mark, name)
            if other != name and frame[other].equals(series, null_equal=True):
                taken = Taken(None, f"a copy of {other}")
        sheets.append(
            ColumnSheet(
                name=name,
                dtype=str(series.dtype),
                kind=taken.kind,
                options=dict(taken.options),
                why=taken.why,
                missing=1 - len(known) / len(series) if len(series) else 0.0,
                distinct=distinct or 0,
                example=_shown(known),
                remarks=[*taken.remarks, *_sparse(series, known)],
                choices=taken.choices,
            )
        )
    return sheets


def confirmed(sheets: Sequence[ColumnSheet], block: pl.DataFrame | None) -> list[ColumnSheet]:
    """The sheets of a sample, where rows that follow one another show that values do repeat after all.

    Args:
        sheets: by every k-th row, which misses the repeats of a table that is sorted by them.
        block: rows without a gap.
    """
    return [
        replace(sheet, kind="categorical", why="values that repeat in rows that follow one another")
        if sheet.kind is None and sheet.why.endswith(ONCE) and block is not None and _repeats(block[sheet.name])
        else sheet
        for sheet in sheets
    ]


def _repeats(series: pl.Series) -> bool:
    known = _known(series)
    return known.n_unique() < len(known)


def _known(series: pl.Series) -> pl.Series:
    known = series.drop_nulls()
    return known.drop_nans() if known.dtype.is_float() else known


def _distinct(known: pl.Series) -> int | None:
    """Different values; None of a type that polars cannot count."""
    if isinstance(known.dtype, (pl.Struct, pl.Object)):
        return None
    try:
        return known.n_unique()
    except pl.exceptions.PolarsError:
        return None


def _shown(known: pl.Series) -> str:
    if not len(known):
        return ""
    if isinstance(known.dtype, (pl.Date, pl.Datetime)):
        # Python's dates end in the year 9999, and polars panics beyond them.
        a_day = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
        per_day = a_day[known.dtype.time_unit] if isinstance(known.dtype, pl.Datetime) else 1
        if not -700_000 < int(known.to_physical()[0]) // per_day < 2_900_000:
            return ""
    first = known[0]
    if isinstance(known.dtype, (pl.List, pl.Array)):
        first = first.to_list()
    text = f"{first:.6g}" if isinstance(first, float) else str(first)
    text = " ".join(text.split())
    return text if len(text) <= 24 else f"{text[:23]}…"


def _sparse(series: pl.Series, known: pl.Series) -> list[str]:
    share = 1 - len(known) / len(series) if len(series) else 0.0
    return [f"{share:.1%} of the rows have no value"] if len(known) and share >= 0.98 else []


def _take(
    series: pl.Series, known: pl.Series, distinct: int | None, rows: pl.Series | None, *, comma_likely: bool
) -> Taken:
    dtype, name = series.dtype, series.name
    if not len(known):
        return Taken(None, NO_VALUE)
    unusable = _unusable(dtype)
    if unusable:
        return Taken(None, unusable)
    if distinct == 1:
        return Taken(None, ONE_VALUE)
    if dtype == pl.Boolean:
        return Taken("boolean", "true or false")
    if isinstance(dtype, (pl.Date, pl.Datetime)):
        return Taken("datetime", "dates")
    if isinstance(dtype, (pl.List, pl.Array)):
        return _take_list(dtype, known)
    if isinstance(dtype, (pl.Categorical, pl.Enum)):
        return Taken("categorical", "categories, by its type")
    if isinstance(dtype, _TEXT):
        return _take_text(series.cast(pl.String), known.cast(pl.String), distinct or 0, comma_likely=comma_likely)
    if dtype.is_integer():
        return _take_integers(series, known, distinct or 0, rows)
    if _is_index(name, series, known, rows):
        return Taken(None, "row numbers")
    return Taken("numeric", "fractions")


def _unusable(dtype: pl.DataType) -> str:
    """Why a type is no feature, and what to do; empty if it may be one."""
    remedies = {
        pl.Duration: "write its length as a number, such as seconds",
        pl.Time: "write it as hours or minutes of the day, or as text",
        pl.Struct: "write its fields as columns",
        pl.Binary: "write what it holds as text or numbers",
        pl.Object: "its values are of several types; give them one",
    }
    for kind, remedy in remedies.items():
        if dtype == kind or isinstance(dtype, kind):
            return f"{str(dtype).partition('(')[0]} is no feature; {remedy}"
    return ""


def _take_list(dtype: pl.List | pl.Array, known: pl.Series) -> Taken:
    inner = dtype.inner
    if inner.is_integer() or isinstance(inner, _TEXT):
        return Taken("bag", "lists of text" if isinstance(inner, _TEXT) else "lists of whole numbers")
    if inner.is_float():
        lengths = {dtype.size} if isinstance(dtype, pl.Array) else set(known.list.len().unique().to_list()[:2])
        alike = "vector" if len(lengths) == 1 else "write them as columns"
        return Taken(
            None, f"lists of fractions; to use them, {'name the kind: vector' if alike == 'vector' else alike}"
        )
    return Taken(None, f"{dtype} is no feature; write it as lists of text or numbers, or as columns")


def _take_integers(series: pl.Series, known: pl.Series, distinct: int, rows: pl.Series | None) -> Taken:
    name = series.name
    if _is_index(name, series, known, rows):
        return Taken(None, "row numbers")
    unit = unit_of(known) if len(known) >= 2 else None
    if unit is not None and _TIME.search(name):
        words = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
        return Taken("datetime", f"{words[unit]} since 1970", {"unit": unit})
    if _ID.search(name):
        return _once(known, distinct, "an id, by its name") or Taken("categorical", "an id, by its name")
    if _CODE.search(name):
        return Taken("categorical", "a code, by its name")
    if series.dtype in (pl.Int128, pl.UInt128) or _largest(known) > EXACT:
        return _once(known, distinct, "too large for a quantity") or Taken(
            "categorical", "whole numbers too large for a quantity"
        )
    return Taken("numeric", "whole numbers")


def _largest(known: pl.Series) -> int:
    ends: list[Any] = [known.min(), known.max()]
    return max((abs(int(end)) for end in ends if end is not None), default=0)


def _is_index(name: str, series: pl.Series, known: pl.Series, rows: pl.Series | None) -> bool:
    """Whether a column counts the rows: by its values, or by its name where no two rows are alike."""
    if len(known) < len(series) or len(series) < FEW or not series.dtype.is_numeric() or series.dtype.is_decimal():
        return False
    if rows is not None and series.dtype.is_integer() and _largest(known) < 2**53:
        apart = series.cast(pl.Float64) - rows.cast(pl.Float64)
        if apart.n_unique() == 1:
            return True
    return bool(_INDEX.fullmatch(name.strip())) and known.n_unique() == len(known)


def _once(known: pl.Series, distinct: int, what: str) -> Taken | None:
    """Left out where each value stands in one row: nothing could be learnt of it but by heart."""
    if len(known) >= FEW and distinct == len(known):
        return Taken(None, f"{what}, {ONCE}")
    return None


def _take_text(text: pl.Series, known: pl.Series, distinct: int, *, comma_likely: bool) -> Taken:
    name = text.name
    coded = bool(_ID.search(name) or _CODE.search(name)) or bool(known.str.contains(r"^\s*0\d+\s*$").any())
    times = recognise_times(known)
    if times is not None and times.share == 1 and not coded:
        if len(times.formats) > 1:
            choices = [Choice(what=form, kind="datetime", options={"format": form}) for form in times.formats]
            return Taken(
                None,
                f"dates that may be {' or '.join(times.formats)}: say which",
                choices=[Choice(what="left out", kind=None), *choices],
            )
        options = {} if times.formats[0] == ISO else {"format": times.formats[0]}
        return Taken("datetime", "dates as text" + (f", {times.formats[0]}" if options else ""), options)
    found = None if coded else recognise(known, comma_likely=comma_likely)
    if found is not None and (taken := _take_numbers(found)) is not None:
        plain = set(found.format.to_plain()) <= {"missing"}
        if plain and looks_coded(found.format.parse(known).drop_nulls()):
            why = "whole numbers as text that behave like codes"
            return Taken("categorical", why, choices=[Choice(why, "categorical"), _quantities(taken)])
        return taken
    if (separator := joined(known)) is not None:
        how = "JSON lists" if separator == "json" else f"values joined by {separator!r}"
        choices = [
            Choice(what="a bag of its values", kind="bag", options={"separator": separator}),
            Choice(what="each combination a category", kind="categorical"),
        ]
        return Taken("bag", how, {"separator": separator}, choices=choices)
    if (taken := _once(known, distinct, "text")) is not None:
        return taken
    if distinct > 0.5 * len(known) and len(known) >= FEW and float(known.str.len_chars().mean() or 0) > 40:  # type: ignore[arg-type]
        return Taken(
            "categorical",
            "text",
            remarks=["long texts that hardly repeat: there is little to learn of them as categories"],
        )
    return Taken("categorical", "a code" if coded and distinct > 2 else "text")


def looks_coded(numbers: pl.Series) -> bool:
    """Whether whole numbers are rather codes than quantities: how often one occurs says nothing of its neighbour.

    Ages, counts and days come about as often as the next higher ones; shops and agents do not.

    Args:
        numbers: `[N]` float64, without nulls.
    """
    values = numbers.to_numpy()
    if len(values) < 500 or (values != np.floor(values)).any() or (values < 0).any():
        return False
    low, high = (int(end) for end in np.quantile(values, [0.01, 0.99]))
    distinct = len(np.unique(values))
    if distinct < LEAST_CODES or high - low < LEAST_CODES or high - low > MOST_SPREAD * distinct:
        return False
    counts = np.bincount((values[(values >= low) & (values <= high)] - low).astype(np.int64))
    steps = np.abs(np.diff(np.log1p(counts)))
    # Counts of a smooth distribution differ by their own noise alone.
    noise = np.sqrt(1 / (1 + counts[:-1]) + 1 / (1 + counts[1:]))
    # Of codes many are never used; of quantities few where so many rows lie so close, unless they are rounded.
    gaps = len(values) >= 5 * len(counts) and (counts == 0).mean() > GAPS and (values % 5 == 0).mean() < 0.5
    return bool(gaps or np.median(steps) > UNLIKE + np.median(noise))


def _quantities(taken: Taken) -> Choice:
    return Choice("quantities", taken.kind, taken.options)


def _take_numbers(found: Recognised | None) -> Taken | None:
    """A numeric column written as text; None where it is rather text."""
    if found is None or found.share < SURE or (found.strangers and len(found.strangers) > 2):
        return None
    form = found.format.to_plain()
    remarks = []
    if found.strangers:
        form["missing"] = [*form.get("missing", []), *found.strangers]
        remarks.append(f"read as missing: {', '.join(map(repr, found.strangers))}")
    if found.mixed:
        remarks.append(f"signs that may not mean the same: {', '.join(found.mixed)}")
    told = ", ".join(f"{key} {value!r}" for key, value in form.items() if key != "missing")
    why = (
        f"numbers as text{f' ({told})' if told else ''}, {found.share:.3g} of the cells"
        if found.share < 1
        else (f"numbers as text ({told})" if told else "numbers as text")
    )
    options = {"format": form} if form else {}
    choices: list[Choice] = []
    if found.other is not None:
        other = found.other.to_plain()
        choices = [
            Choice(what=f"{_said(form)}", kind="numeric", options=options),
            Choice(what=f"{_said(other)}", kind="numeric", options={"format": other} if other else {}),
        ]
    if found.mixed:
        choices = choices or [Choice(what="numbers, whatever the sign", kind="numeric", options=options)]
        choices.append(Choice(what="text", kind="categorical"))
    return Taken("numeric", why, options, remarks, choices)


def _said(form: dict[str, Any]) -> str:
    point = "a decimal comma" if form.get("decimal") == "," else "a decimal point"
    return point + (f", {form['thousands']!r} between thousands" if form.get("thousands") else "")
