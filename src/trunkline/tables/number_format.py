"""Number formats: how people write numbers (`1.234,50 €`, `12.5%`), read and recognised."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import polars as pl

from trunkline.errors import Problems, UserError

BLANKS = " \t\u00a0\u202f\u2009"
"""Around numbers and, if the format says so, between groups of three digits."""
MARKS = (
    *("na", "n/a", "#n/a", "n.a.", "nan", "null", "none", "nil", "missing", "unknown", "undefined", "not available"),
    *("k.a.", "k. a.", "keine angabe"),
    *("?", "-", "--", "---", ".", "..", "*", "\\n", "\u2013", "\u2014"),
)
"""Words, in small letters, with which people say that a value is missing."""
PLAIN = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_PAIRS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))


GROUPED, BARE = r"^\s*[+-]?[1-9]\d{0,2}(\.\d{3})+\s*$", r"^\s*[+-]?\d{1,3}\s*$"
"""Whole numbers with dots between thousands, and those that have none."""


def whole_by_dots(cells: pl.Expr) -> pl.Expr:
    """Whether cells, nulls left out, may all be whole numbers with dots between thousands: `337`, `1.239`, `2.000.000`.

    Where computers write fractions, some have fewer digits or more, or all have a dot.
    """
    grouped, bare = cells.str.contains(GROUPED), cells.str.contains(BARE)
    return (grouped | bare).all() & grouped.any() & (bare | (cells.str.count_matches(".", literal=True) > 1)).any()


LONGEST = 400
"""Bytes of a cell that may be a number: the longest that Python writes has fewer."""


def shorter(text: pl.Series, most: int) -> pl.Series:
    """The texts `[N]`, null where they are longer: what nobody would write is not searched through."""
    long = (text.str.len_bytes() > most).fill_null(False)
    return text.set(long, None) if long.any() else text


@final
@dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """How numbers are written in a column of text.

    Attributes:
        decimal: the decimal sign, `.` or `,`.
        thousands: what stands between groups of three digits; a blank stands for any sort of blank. None if empty.
        strip: signs before and behind numbers that are taken off, such as `$%`; with `(` among them, a number in
            brackets is negative.
        missing: words that say "missing", in whatever case; numbers among them, however they are written: `-999` is
            `-999.0`, in columns that are no text too.

    Raises:
        UserError: signs that no number could be read with; all of them.
    """

    decimal: str = "."
    thousands: str = ""
    strip: str = ""
    missing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problems = Problems()
        if self.decimal not in (".", ","):
            problems.add(f"format: decimal {self.decimal!r}; it is '.' or ','")
        if self.thousands not in ("", ".", ",", " ", "'", "\u2019", "_") or self.thousands == self.decimal:
            problems.add(f"format: thousands {self.thousands!r}; it is one of . , ' _ or a blank, not the decimal sign")
        wrong = "".join(sorted({sign for sign in self.strip if sign.isdigit() or sign in (*"+-", self.decimal)}))
        if wrong:
            problems.add(f"format: strip {self.strip!r} holds {wrong!r}, which are parts of numbers")
        problems.raise_if_any()

    @classmethod
    def of(cls, fields: Any) -> "NumberFormat":
        """From plain values, as a config or `to_plain` has them.

        Raises:
            UserError: unknown keys, or values of another type.
        """
        known = {"decimal": str, "thousands": str, "strip": str, "missing": (list, tuple)}
        if not isinstance(fields, dict):
            raise UserError(f"format {fields!r}: give its keys: {', '.join(known)}")
        for key, value in fields.items():
            if key not in known:
                raise UserError(f"format: key {key!r} is unknown (known: {', '.join(known)})")
            if not isinstance(value, known[key]):  # type: ignore[arg-type]
                raise UserError(f"format: {key} {value!r}: it is {'text' if key != 'missing' else 'a list of words'}")
        missing = tuple(map(str, fields.get("missing", ())))
        return cls(**{k: v for k, v in fields.items() if k != "missing"}, missing=missing)

    def to_plain(self) -> dict[str, Any]:
        """What differs from the default, in plain values."""
        told: dict[str, Any] = {"decimal": self.decimal} if self.decimal != "." else {}
        told |= {"thousands": self.thousands} if self.thousands else {}
        told |= {"strip": self.strip} if self.strip else {}
        return told | ({"missing": list(self.missing)} if self.missing else {})

    @property
    def plain(self) -> bool:
        """Whether that is how computers write numbers."""
        return not self.to_plain()

    def missing_in(self, text: pl.Series) -> pl.Series:
        """`[N]` boolean: where a text says that the value is missing."""
        words = text.str.strip_chars(BLANKS).str.to_lowercase()
        return words.is_in(["", *(word.strip().lower() for word in self.missing)]).fill_null(True)

    def parse(self, text: pl.Series) -> pl.Series:
        """Float64 `[N]`, null where a text or a number is missing, or no number in this format.

        Args:
            text: `[N]` of type String.
        """
        return self.without_marks(self.written(text))

    def written(self, text: pl.Series) -> pl.Series:
        """What `parse` gives, with numbers that say "missing" as they are."""
        text = shorter(text, LONGEST)
        # A word as a whole is missing; a dash that stands for it must not be taken for a sign.
        cells = text.set(self.missing_in(text), None).str.strip_chars(BLANKS)
        if self.strip:
            if "(" in self.strip:
                bracketed = cells.str.contains(r"^[^\d(]*\(.*\)[^\d)]*$").fill_null(False)
                cells = ("-" + cells.str.replace_all(r"[()]", "")).zip_with(bracketed, cells)
            around = f"[{re.escape(self.strip)}{BLANKS}]+"
            cells = cells.str.replace(f"{around}$", "").str.replace(f"^([+-]?){around}", "${1}")
        if self.thousands:
            between = f"[{BLANKS}]" if self.thousands == " " else re.escape(self.thousands)
            grouped = rf"^[+-]?[1-9]\d{{0,2}}({between}\d{{3}})+({re.escape(self.decimal)}\d*)?$"
            cells = cells.str.replace_all(between, "").zip_with(cells.str.contains(grouped).fill_null(False), cells)
        if self.decimal != ".":
            # Elsewhere a point is no part of a number.
            cells = cells.set(cells.str.contains(".", literal=True).fill_null(False), None)
            cells = cells.str.replace(",", ".", literal=True)
        numbers = cells.set(~cells.str.contains(rf"^{PLAIN}$").fill_null(False), None).cast(pl.Float64, strict=False)
        return numbers.set(numbers.is_infinite().fill_null(False), None)

    @property
    def marks(self) -> list[float]:
        """Numbers that say "missing"."""
        words = pl.Series(self.missing, dtype=pl.String).str.strip_chars()
        return words.cast(pl.Float64, strict=False).drop_nulls().drop_nans().to_list()

    def without_marks(self, numbers: pl.Series) -> pl.Series:
        """The numbers, null where one says "missing"."""
        marks = self.marks
        marked = numbers.is_in(marks).fill_null(False) if marks else None
        return numbers if marked is None or not marked.any() else numbers.set(marked, None)


class Recognised(NamedTuple):
    """What a column of text looks like, if it looks like numbers.

    Attributes:
        format: how they are written.
        share: of the cells that have a value, how many read so.
        strangers: some of those that do not.
        other: another format in which the same cells mean other numbers; None where there is but one reading.
        mixed: different signs beside the numbers, which may not all mean the same: two currencies, or `%` on some.
    """

    format: NumberFormat
    share: float
    strangers: Sequence[str]
    other: NumberFormat | None
    mixed: Sequence[str] = ()


def recognise(text: pl.Series, *, comma_likely: bool = False) -> Recognised | None:
    """How the numbers of a column of text are written; None where hardly a cell is one.

    Args:
        text: `[N]` of type String, some rows.
        comma_likely: whether a decimal comma is to be expected: the file's fields are separated by semicolons.
    """
    cells = text.drop_nulls()
    cells = cells.set(cells.str.len_bytes() > LONGEST, "a long text").str.strip_chars(BLANKS)
    cells = cells.filter(cells != "")
    if not len(cells):
        return None
    counted = cells.value_counts(sort=True)
    values, counts = counted.to_series(0), counted.to_series(1)
    total = int(counts.sum())
    marked = values.str.to_lowercase().is_in(MARKS)
    missing = tuple(values.filter(marked).to_list()[:20])
    values, counts = values.filter(~marked), counts.filter(~marked)
    known = total - int(counted.to_series(1).filter(marked).sum())
    if not known:
        return None
    signs, mixed = _signs(values, counts)
    found: list[tuple[int, int, NumberFormat, pl.Series]] = []
    for order, (decimal, thousands) in enumerate(_PAIRS):
        form = NumberFormat(decimal=decimal, thousands=thousands, strip=signs, missing=missing)
        numbers = form.parse(values)
        fits = int(counts.filter(numbers.is_not_null()).sum())
        found.append((fits, -order, form, numbers))
    fits, _, best, numbers = max(found, key=lambda one: one[:2])
    if fits < known / 2:
        return None
    strangers = values.filter(numbers.is_null()).to_list()[:3]
    others = [
        (form, there) for count, _, form, there in found if count == fits and not there.equals(numbers, null_equal=True)
    ]
    # `1,500` may be one thousand five hundred, or one and a half: both read every cell.
    commas = [form for form, _ in others if form.decimal == ","]
    if comma_likely and best.decimal == "." and commas:
        return Recognised(commas[0], fits / known, strangers, best, mixed)
    if best.decimal == "," and not comma_likely and (points := [f for f, _ in others if f.decimal == "."]):
        return Recognised(points[0], fits / known, strangers, best, mixed)
    return Recognised(best, fits / known, strangers, others[0][0] if others else None, mixed)


def _signs(values: pl.Series, counts: pl.Series) -> tuple[str, list[str]]:
    """Signs before and behind numbers (currencies, percent, brackets), and those that may mean different things."""
    before = values.str.extract(rf"^[+-]?[{BLANKS}]*([^\d.,+\-{BLANKS}]+)[{BLANKS}]*[+-]?[\d.,]").fill_null("")
    behind = values.str.extract(rf"[\d.,][{BLANKS}]*([^\d.,{BLANKS}]+)$").fill_null("")
    each = pl.DataFrame({"sign": before + " " + behind, "count": counts}).group_by("sign").agg(pl.col("count").sum())
    common = each.sort("count", "sign", descending=[True, False])["sign"].to_list()[:6]
    found: dict[str, None] = {}
    for text in common:
        front, _, back = text.partition(" ")
        for word, words in ((front, _CURRENCIES), (back, (*_CURRENCIES, *_UNITS))):
            # A letter in front of a number is a name, `g1`, and no sign.
            if not any(sign.isalnum() for sign in word):
                found |= dict.fromkeys(word.replace(")", "")) if len(word) <= 3 else {}
            elif word.lower() in words:
                found |= dict.fromkeys(word)
    plain = [text.replace("(", "").replace(")", "").strip() for text in common]
    signs = list(dict.fromkeys(text for text in plain if text and set(text) <= {*found, " "}))
    bare = "" in plain and any("%" in sign for sign in signs)
    return "".join(found), [*signs, "no sign"] if bare else signs if len(signs) > 1 else []


_CURRENCIES = (
    "eur",
    "usd",
    "gbp",
    "chf",
    "sek",
    "nok",
    "dkk",
    "pln",
    "inr",
    "jpy",
    "cny",
    "kr",
    "zł",
    "kč",
    "us$",
    "a$",
)
_UNITS = ("pct", "kg", "km", "cm", "mm", "ms", "mg", "ml", "lbs", "mi", "ft", "min", "sec", "hrs", "kwh")
"""Words beside numbers, in small letters, that change nothing in a column where all cells have them."""
