"""CSV dialects: separator, quote and encoding, given or found in a file's first lines."""

import codecs
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import final

from trunkline.errors import Problems, UserError
from trunkline.tables.packed import open_packed

SEPARATORS = (",", ";", "\t", "|")
"""Those that are looked for."""
LONGEST = 1 << 24
"""Bytes of a line that can be a header: without an end, a file that is no text would be one line."""
BLOCKS = 4
"""Blocks of so many bytes that are looked at for signs of an encoding."""
LINES = 20
"""Records that show which separator a file has."""
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@final
@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a file of text is written.

    Attributes:
        separator: between fields; None to find it: one of , ; | or a tab.
        quote: around fields that hold separators or line ends.
        encoding: by its name, such as `latin-1`; None for UTF-8, or UTF-16 where the file begins with its mark.

    Raises:
        UserError: signs that are not one character, an encoding that there is not; all of them.
    """

    separator: str | None = None
    quote: str = '"'
    encoding: str | None = None

    def __post_init__(self) -> None:
        problems = Problems()
        if self.separator is not None and (not _is_sign(self.separator) or self.separator == self.quote):
            problems.add(f"data.separator {self.separator!r}: give one character of ASCII, such as ';' or '\\t'")
        if not _is_sign(self.quote):
            problems.add(f'data.quote {self.quote!r}: give one character, such as "\'"')
        if self.encoding is not None:
            try:
                if not codecs.lookup(self.encoding)._is_text_encoding:
                    raise LookupError
            except (LookupError, ValueError):
                problems.add(f"data.encoding {self.encoding!r} is none that is known; such as latin-1, cp1252, utf-16")
        problems.raise_if_any()

    @property
    def utf8(self) -> bool:
        """Whether the bytes can be read as they are."""
        return self.encoding is None or codecs.lookup(self.encoding).name == "utf-8"


@final
@dataclass(frozen=True, kw_only=True)
class Header:
    """What the first lines of a file show.

    Attributes:
        names: the columns', in their order.
        dialect: with nothing left open but an encoding that is UTF-8.
    """

    names: list[str]
    dialect: Dialect


def read_header(path: Path, given: Dialect, *, usual: str = ",") -> Header:
    """The columns' names, and the dialect where it is left open.

    Args:
        path: the file, which may be compressed.
        given: what is known of its dialect.
        usual: the separator of files of that ending.

    Raises:
        UserError: no text in its encoding, no header, a column twice in it.
    """
    dialect = given if given.encoding is not None else replace(given, encoding=_marked(path))
    if dialect.separator is None:
        try:
            shown = list(islice(decoded(path, dialect, errors="replace", longest=LONGEST), 5 * LINES))
        except UnicodeError:  # as reading the header will tell
            shown = []
        dialect = replace(dialect, separator=_separator(shown, dialect.quote, usual))
    names = _names(path, dialect)
    if names is None:
        raise UserError(f"{path} is empty; a header line with the columns' names is needed")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"{path}: column {', '.join(map(repr, twice))} stands more than once in the header")
    if not names:
        raise UserError(f"{path} begins with an empty line; a header line with the columns' names is needed there")
    return Header(names=names, dialect=dialect)


def decoded(path: Path, dialect: Dialect, *, errors: str = "strict", longest: int = -1) -> Iterator[str]:
    """The lines of a file, as text.

    Args:
        path: the file, which may be compressed.
        dialect: with its encoding.
        errors: what becomes of bytes that are no text, as `bytes.decode` takes it.
        longest: bytes of a line, at most; -1 for any.

    Raises:
        UnicodeError: a line that is no text in the dialect's encoding.
    """
    with open_packed(path) as file:
        if dialect.utf8:
            yield from (line.decode("utf-8-sig", errors) for line in iter(lambda: file.readline(longest), b""))
        else:
            yield from codecs.getreader(dialect.encoding or "utf-8")(file, errors)


def name_encoding(path: Path) -> str:
    """What to do about a file that is no UTF-8: the encoding that its bytes suggest, and where it is named."""
    found = set[int]()
    with open_packed(path) as file:
        for _ in range(BLOCKS):
            found |= {*file.read(LONGEST)}
    # Latin-1 has control characters where Windows has €, „ and “; of these, five bytes are nothing there.
    windows = {*range(0x80, 0xA0)}
    name = "cp1252" if found & windows and not found & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
    return f"name its encoding (--encoding {name}, or data.encoding: {name} in a config)"


def _is_sign(text: str) -> bool:
    return len(text) == 1 and text.isascii() and text not in "\r\n\0"


def _marked(path: Path) -> str | None:
    with open_packed(path) as file:
        start = file.read(4)
    return next((name for mark, name in _BOMS if start.startswith(mark) and name != "utf-8-sig"), None)


def _separator(lines: list[str], quote: str, usual: str) -> str:
    """The separator under which records have one number of fields, more than one; the usual one where it will do."""
    fields = {one: _fields(lines, one, quote) for one in dict.fromkeys([usual, *SEPARATORS])}
    even = [one for one, counts in fields.items() if counts and counts[0] > 1 and len(set(counts)) == 1]
    if usual in even or not even:
        return usual
    if fields[usual] and fields[usual][0] > 1:
        return usual  # its header has such fields; a broken row is told as one
    return max(even, key=lambda one: fields[one][0])


def _fields(lines: list[str], separator: str, quote: str) -> list[int]:
    try:
        reader = csv.reader(iter(lines), delimiter=separator, quotechar=quote, strict=False)
        return [len(record) for record in islice(reader, LINES) if record]
    except csv.Error:
        return []


def _names(path: Path, dialect: Dialect) -> list[str] | None:
    """The first record of a CSV; None of an empty file.

    Raises:
        UserError: it is no text in that encoding, or no record.
    """
    lines = decoded(path, dialect, longest=LONGEST)
    try:
        reader = csv.reader(lines, delimiter=dialect.separator or ",", quotechar=dialect.quote, strict=True)
        names = next(reader, None)
    except UnicodeDecodeError as error:
        name = "UTF-8" if dialect.utf8 else dialect.encoding
        raise UserError(
            f"{path}: its header is no text in {name} ({error.object[:40]!r}); {name_encoding(path)}, save it as CSV "
            "in UTF-8, or give it the ending of what it is"
        ) from None
    except UnicodeError as error:
        raise UserError(f"{path} is no text in {dialect.encoding}: {error}; name another data.encoding") from None
    except csv.Error as error:
        why = "its lines end in CR alone; write them with LF" if "new-line" in str(error) else f"its header: {error}"
        raise UserError(f"{path} cannot be read: {why}") from None
    if any("\0" in name for name in names or ()):
        raise UserError(
            f"{path}: its header holds NUL bytes, as UTF-16 and binary files do; name its encoding (data.encoding: "
            "utf-16-le), or save it as CSV in UTF-8"
        )
    return names
