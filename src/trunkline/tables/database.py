"""Tables of databases, by URL: read once, whole; passwords stay in the environment."""

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, final
from urllib.parse import SplitResult, quote, quote_plus, unquote, urlsplit

import polars as pl

from trunkline.errors import UserError, did_you_mean

SQLITE = "sqlite"
SERVERS = {"postgresql": '"', "postgres": '"', "mysql": "`"}
"""Schemes of servers, and the sign around names in their SQL."""
ROWS = 65_536
"""Rows that are taken from SQLite at a time."""
VARIABLES = "TRUNKLINE_"
"""How names of variables begin that may stand for a password: a config of a stranger sends no other one anywhere."""
_URL = re.compile(
    r"\s*(?:(?P<scheme>[a-z][a-z0-9+.-]*)|(?:[a-z][a-z0-9+.-]*:)+[a-z0-9+.-]*)://"
    r"|\s*(?:jdbc:)?(?:postgres|postgresql|mysql|mariadb):/?",
    re.I,
)
_VARIABLE = re.compile(rf"\$(?:({VARIABLES}\w+)|\{{({VARIABLES}\w+)\}})", re.A)
_SQLITE = b"SQLite format 3\0"
_LISTED = "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
_DOUBLE = '"'
_BEHIND_HOST = re.compile(r"\A(\[[^\]/?#]*\]|[^:/?#\[]*):(?!\d*(?:[/?#]|$)).*", re.S)
"""A host, and behind a colon what is no port: where the `@` was forgotten, a password."""
_OPTION = re.compile(r"([?&;][^=&;?]*)=")
_SECRET = re.compile("pass|pwd|secret|token", re.I)
_HIDDEN = "***"
_PASSWORDS = (
    f"put the password into a variable of the environment whose name begins with {VARIABLES}, and that name in its "
    f"place: user:${VARIABLES}PASSWORD@host (in a shell between single quotes)"
)


def is_url(text: str) -> bool:
    """Whether a source is a database and no file, also where its URL is not well written."""
    return _URL.match(text) is not None


def masked(text: str) -> str:
    """A URL without what is, or may be, a password.

    A password may hold any sign, `@`, `/` and `#` too: it ends at the last `@`. One among the options has no end.
    """
    found = _URL.match(text)
    if found is None:
        return text
    start, rest = text[: found.end()], text[found.end() :]
    if not (start.strip().lower() == f"{SQLITE}://" and rest.startswith("/")):
        login, at, behind = rest.rpartition("@")
        user, colon, password = login.partition(":")
        if password and not _VARIABLE.fullmatch(password):
            login = f"{user}{colon}{_HIDDEN}"
        rest = login + at + _BEHIND_HOST.sub(rf"\1:{_HIDDEN}", behind)
    for option in _OPTION.finditer(rest):
        if _SECRET.search(unquote(option[1])):
            return f"{start}{rest[: option.end()]}{_HIDDEN}"
    return start + rest


@final
class DatabaseTable:
    """A table of a database, read when its rows are asked for, and not again.

    Args:
        url: such as `sqlite:///orders.db#events` or `postgresql://anna:$TRUNKLINE_SHOP@host/shop#events`: the
            table's name stands behind `#`, a password in the variable of the environment that is named in its place.
            As elsewhere, `sqlite:///` begins a path from here and `sqlite:////` one from the root.

    Raises:
        UserError: another scheme, no table, a password; in the message it is masked.
    """

    def __init__(self, url: str) -> None:
        found = _URL.match(url)
        self.scheme = (found["scheme"] or "").lower() if found and url[:1].strip() else ""
        shown = masked(url)
        if self.scheme != SQLITE and self.scheme not in SERVERS:
            raise UserError(
                f"{shown}: databases are named by {', '.join(f'{one}://' for one in (SQLITE, *SERVERS))}; "
                "write rows that lie elsewhere into a file and name that"
            )
        stem, _, self.table = url.partition("#")
        if shown != url and "@" not in url and _SECRET.search(shown) is None:
            raise UserError(f"{shown}: what stands behind the colon is no port, and no @ comes after it; {_PASSWORDS}")
        if shown != url:
            raise UserError(f"{shown}: a password in a URL would be written into the config; {_PASSWORDS}")
        self.url = url
        if self.scheme == SQLITE:
            rest = stem[len(f"{SQLITE}://") :]
            self.file = Path(rest[1:] if rest.startswith("/") else rest)
            return
        if not self.table:
            raise UserError(f"{shown}: name the table behind the URL: {shown}#table")
        try:
            self._parts: SplitResult = urlsplit(stem)
            well = self._parts.port != 0 and "@" not in url.replace(f"{self._parts.netloc}", "", 1)
        except ValueError:  # its words repeat what stands there
            well = False
        if not well:
            raise UserError(
                f"{shown}: this is no URL of a server; it is {self.scheme}://user:${VARIABLES}NAME@host:port/database"
                "#table, a port from 1 to 65535; elsewhere @ is written %40, and in a name / is %2F, ? %3F and # %23"
            )

    def __str__(self) -> str:
        """As a config names it."""
        return self.url

    def check(self) -> None:
        """Look whether it can be asked, without connecting.

        Raises:
            UserError: the file of a database is not there, a variable is not set, the extra is not installed.
        """
        if self.scheme == SQLITE:
            if not self.file.is_file():
                root = f"; a path from the root begins with four: sqlite:////{self.file}"
                raise UserError(f"{self}: file {self.file} does not exist{'' if self.file.is_absolute() else root}")
            return
        if find_spec("connectorx") is None or find_spec("pyarrow") is None:
            raise UserError(f"{self}: databases need connectorx; pip install 'trunkline[database]'")
        self._with_password()

    def scan(self) -> pl.LazyFrame:
        """The rows, in the order in which the database gives them.

        Raises:
            UserError: no such table, or what the database says.
        """
        return self.rows.lazy()

    @cached_property
    def rows(self) -> pl.DataFrame:
        """All rows; raises what `scan` raises."""
        self.check()
        if self.scheme == SQLITE:
            with self._told():
                return self._from_sqlite()
        address, password = self._with_password()
        mark = SERVERS[self.scheme]
        name = ".".join(_quoted(part, mark) for part in self.table.split(".", 1))
        with self._told(password):
            return read_server(f"SELECT * FROM {name}", address)

    @cached_property
    def content(self) -> str:
        """Stands for the rows that were read: the same for the same rows in the same order."""
        digest = hashlib.blake2b(repr(self.rows.schema).encode(), digest_size=16)
        digest.update(self.rows.hash_rows(seed=0).to_numpy().tobytes() if self.rows.width else b"")
        return digest.hexdigest()

    def _with_password(self) -> tuple[str, str]:
        """The URL as the database wants it, and the password in it; empty where there is none."""
        written = self._parts.password
        if not written:
            return self._parts.geturl(), ""
        name = written.strip("${}")  # no other password gets here
        value = os.environ.get(name)
        if value is None:
            raise UserError(f"{self}: variable {name!r} of the environment is not set; it has to hold the password")
        before, _, host = self._parts.netloc.rpartition("@")
        user = before.partition(":")[0]
        return self._parts._replace(netloc=f"{user}:{quote(value, safe='')}@{host}").geturl(), value

    @contextmanager
    def _told(self, password: str = "") -> Iterator[None]:
        """Say which table it is that cannot be read.

        Raises:
            UserError: reading it failed inside.
        """
        try:
            yield
        except (sqlite3.Error, RuntimeError, OSError, ValueError, pl.exceptions.PolarsError) as error:
            if isinstance(error, UserError):
                raise
            why = str(error)
            for secret in (password, quote(password, safe=""), quote_plus(password), repr(password)[1:-1]):
                why = why.replace(secret, _HIDDEN) if secret else why
            why = (why.strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"{self} cannot be read: {why}") from None

    def _from_sqlite(self) -> pl.DataFrame:
        with closing(sqlite3.connect(f"file:{quote(str(self.file))}?mode=ro", uri=True)) as connection:
            definitions = {str(name): sql for name, sql in connection.execute(_LISTED)}
            names = list(definitions)
            table = self.table or (names[0] if len(names) == 1 else "")
            if table not in names:
                there = f"(there: {', '.join(map(repr, names[:10])) or 'none'})"
                if table:
                    raise UserError(f"{self} is not in the database{did_you_mean(table, names)} {there}")
                raise UserError(f"{self}: name the table behind the file: {self}#table {there}")
            truths = {
                name
                for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({_quoted(table, _DOUBLE)})")
                if str(kind).upper() in ("BOOL", "BOOLEAN")
            }
            cursor = connection.execute(f"SELECT * FROM {_quoted(table, _DOUBLE)}")
            columns = [column[0] for column in cursor.description]
            twice = _named_again(columns, definitions[table] or "")
            if twice:
                raise UserError(
                    f"{self}: column {', '.join(map(repr, twice))} stands more than once; give each column of the view "
                    "a name of its own (SELECT a.id AS a_id, b.id AS b_id)"
                )
            parts: list[list[_Block]] = [[] for _ in columns]
            while block := cursor.fetchmany(ROWS):
                for part, values in zip(parts, zip(*block, strict=True), strict=True):
                    part.append(_by_type(values))
        made = [_together(name, part) for name, part in zip(columns, parts, strict=True)]
        return pl.DataFrame(
            [
                one.cast(pl.Boolean)
                if one.name in truths and one.dtype == pl.Int64 and one.is_in([0, 1, None]).all()
                else one
                for one in made
            ]
        )


def named_by_url(path: Path) -> str | None:
    """How a file of SQLite is named, with the tables in it; None of any other file."""
    try:
        with path.open("rb") as file:
            if file.read(len(_SQLITE)) != _SQLITE:
                return None
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            names = [str(name) for name, _ in connection.execute(_LISTED)]
    except (OSError, sqlite3.Error):
        names = []
    there = f" (tables there: {', '.join(names[:10])})" if names else ""
    return f"{SQLITE}:///{path}#{names[0] if len(names) == 1 else 'TABLE'}{there}"


def read_server(query: str, url: str) -> pl.DataFrame:
    """What a database answers, by polars' own reader."""
    before = os.environ.get("RUST_LOG")
    os.environ["RUST_LOG"] = "off"  # its reader prints every try; it looks here once, when it is loaded
    try:
        return pl.read_database_uri(query, url, engine="connectorx")
    finally:
        if before is None:
            del os.environ["RUST_LOG"]
        else:
            os.environ["RUST_LOG"] = before


def _quoted(name: str, mark: str) -> str:
    return f"{mark}{name.replace(mark, 2 * mark)}{mark}"


def _named_again(columns: list[str], definition: str) -> list[str]:
    """Names that a view gives more than one column: SQLite makes `a:1` of the second `a`, if nobody wrote that."""
    known, written = {name.lower() for name in columns}, definition.lower()
    made = [name.rpartition(":") for name in columns if name.lower() not in written]
    return list(dict.fromkeys(stem for stem, _, place in made if place.isdecimal() and stem.lower() in known))


_TYPES: dict[type, pl.DataType] = {int: pl.Int64(), float: pl.Float64(), str: pl.String(), bytes: pl.Binary()}
"""Types of values that SQLite has."""
_Block = tuple[int, dict[type, pl.Series]]
"""Some rows of a column: how many, and the values of each type, null elsewhere."""


def _by_type(values: tuple[Any, ...]) -> _Block:
    """Values of SQLite, which has types of values and none of columns."""
    kinds = {type(value) for value in values} - {type(None)}
    if len(kinds) == 1:
        kind = kinds.pop()
        return len(values), {kind: pl.Series(values, dtype=_TYPES[kind])}
    return len(values), {
        kind: pl.Series([value if type(value) is kind else None for value in values], dtype=_TYPES[kind])
        for kind in kinds
    }


def _together(name: str, blocks: list[_Block]) -> pl.Series:
    """A column in the type that holds all its values; text, made of the values as they were, where some are text."""
    rows = sum(length for length, _ in blocks)
    found = {
        kind: pl.concat([block.get(kind, pl.Series([None] * length, dtype=of)) for length, block in blocks])
        for kind, of in _TYPES.items()
        if any(kind in block for _, block in blocks)
    }
    if not found:
        return pl.Series(name, [None] * rows, dtype=pl.Null)
    if float in found and len(found) > 1 and not found.keys() <= {int, float}:
        # As Python writes it: the same in every block, and the shortest that reads as the same number.
        written = [None if value is None else str(value) for value in found[float].to_list()]
        found[float] = pl.Series(written, dtype=pl.String)
    widest = max(found, key=list(_TYPES).index)
    column = pl.Series(name, [None] * rows, dtype=_TYPES[widest])
    for part in found.values():
        text = part.cast(pl.String) if widest is bytes and part.dtype == pl.Int64 else part
        column = column.zip_with(column.is_not_null(), text.cast(_TYPES[widest]))
    return column.alias(name)
