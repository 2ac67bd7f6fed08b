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
from urllib.parse import SplitResult, quote, urlsplit

import polars as pl

from trunkline.errors import UserError, did_you_mean

SQLITE = "sqlite"
SERVERS = {"postgresql": '"', "postgres": '"', "mysql": "`"}
"""Schemes of servers, and the sign around names in their SQL."""
ROWS = 65_536
"""Rows that are taken from SQLite at a time."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SQLITE = b"SQLite format 3\0"
_LISTED = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"
_DOUBLE = '"'
_SECRET = re.compile(r"([?&][^=&#]*(?:pass|pwd|secret|token)[^=&#]*)=([^&#]*)", re.I)


def is_url(text: str) -> bool:
    """Whether a source is a database and no file."""
    return _URL.match(text) is not None


def masked(text: str) -> str:
    """A URL without what is, or may be, a password."""
    text = re.sub(r"(://[^/@#]*?:)(?!\$(?:\w+|\{\w+\})@)[^/#]*@", r"\1***@", text)
    return _SECRET.sub(r"\1=***", text)


@final
class DatabaseTable:
    """A table of a database, read when its rows are asked for, and not again.

    Args:
        url: such as `sqlite:///orders.db#events` or `postgresql://anna:$PASSWORD@host/shop#events`: the table's name
            stands behind `#`, a password in the variable of the environment that is named in its place. As elsewhere,
            `sqlite:///` begins a path from here and `sqlite:////` one from the root.

    Raises:
        UserError: another scheme, no table, a password; in the message it is masked.
    """

    def __init__(self, url: str) -> None:
        found = _URL.match(url)
        self.scheme = found[1].lower() if found else ""
        shown = masked(url)
        if self.scheme != SQLITE and self.scheme not in SERVERS:
            raise UserError(
                f"{shown}: databases are named by {', '.join(f'{one}://' for one in (SQLITE, *SERVERS))}; "
                "write rows that lie elsewhere into a file and name that"
            )
        stem, _, self.table = url.partition("#")
        if shown != url:
            raise UserError(
                f"{shown}: a password in a URL would be written into the config; put it into a variable of the "
                "environment, and its name in its place: user:$PASSWORD@host (in a shell between single quotes)"
            )
        self.url = url
        if self.scheme == SQLITE:
            rest = stem[len(f"{SQLITE}://") :]
            self.file = Path(rest[1:] if rest.startswith("/") else rest)
            return
        if not self.table:
            raise UserError(f"{shown}: name the table behind the URL: {shown}#table")
        try:
            self._parts: SplitResult = urlsplit(stem)
            _ = self._parts.port
        except ValueError as error:
            raise UserError(f"{shown}: {error}") from None

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
        name = written.strip("${}")
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
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
            for secret in (password, quote(password, safe="")) if password else ():
                why = why.replace(secret, "***")
            raise UserError(f"{self} cannot be read: {why}") from None

    def _from_sqlite(self) -> pl.DataFrame:
        with closing(sqlite3.connect(f"file:{quote(str(self.file))}?mode=ro", uri=True)) as connection:
            names = [str(name) for (name,) in connection.execute(_LISTED)]
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
            parts: list[list[pl.Series]] = [[] for _ in columns]
            while block := cursor.fetchmany(ROWS):
                for part, values in zip(parts, zip(*block, strict=True), strict=True):
                    part.append(_series(values))
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
            names = [str(name) for (name,) in connection.execute(_LISTED)]
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


def _series(values: tuple[Any, ...]) -> pl.Series:
    """Values of SQLite, which has types of values and none of columns."""
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {int}:
        return pl.Series(values, dtype=pl.Int64) if kinds else pl.Series(values, dtype=pl.Null)
    if kinds <= {int, float}:
        return pl.Series([None if value is None else float(value) for value in values], dtype=pl.Float64)
    if bytes not in kinds:
        return pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)
    return pl.Series(
        [value if value is None or isinstance(value, bytes) else str(value).encode() for value in values],
        dtype=pl.Binary,
    )


def _together(name: str, parts: list[pl.Series]) -> pl.Series:
    """The parts of a column in the type that holds all of them; text where some are text."""
    kinds = {part.dtype for part in parts} - {pl.Null()}
    wide = next((kind for kind in (pl.Binary, pl.String, pl.Float64, pl.Int64) if kind in kinds), pl.Null)
    return pl.concat([part.cast(wide) for part in parts]).alias(name) if parts else pl.Series(name, [], dtype=pl.Null)
