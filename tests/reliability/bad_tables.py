"""Tables that files really hold, and what each command has to make of them."""

import bz2
import gzip
import io
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

N = 40
ROW = 5
"""The row in which a table has its one bad value."""


@dataclass(frozen=True)
class Table:
    """One bad table.

    Attributes:
        name: says what is bad about it.
        write: writes its files into a folder; their names or globs.
        ends: of `init`, `train` and `predict` in this order: `o` for a right result, `x` for a message.
        says: what every message has in it, beside the name of a file.
        rows: that it has if it can be read.
    """

    name: str
    write: Callable[[Path], list[str]]
    ends: str
    says: tuple[str, ...] = ()
    rows: int = N


def good_rows(n=N, *, seed=0):
    """Rows that train."""
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "number": np.arange(n),
            "user": [f"u{i % 5}" for i in range(n)],
            "price": draw.normal(size=n).round(3) + 10,
            "returning": draw.random(n) < 0.5,
            "time": [datetime(2024, 3, 1) + timedelta(minutes=97 * i) for i in range(n)],
            "click": draw.integers(0, 2, n),
            "dwell": (draw.random(n) * 9).round(3),
            "importance": draw.random(n).round(3),
        }
    )


GOOD = good_rows()
CSV = GOOD.write_csv()
LINES = CSV.splitlines()
WRITERS = {
    "parquet": pl.DataFrame.write_parquet,
    "ipc": pl.DataFrame.write_ipc,
    "ndjson": pl.DataFrame.write_ndjson,
    "csv": pl.DataFrame.write_csv,
}


def packed(frame, ending):
    """The bytes of a frame's file."""
    buffer = io.BytesIO()
    WRITERS[ending](frame, buffer)
    return buffer.getvalue()


PARQUET, IPC, NDJSON = (packed(GOOD, ending) for ending in ("parquet", "ipc", "ndjson"))


def files(**contents):
    """What writes files: `rows_csv=b"…"` into `rows.csv`."""

    def write(folder):
        names = [name.replace("_", ".") for name in contents]
        for name, content in zip(names, contents.values(), strict=True):
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return names if len(names) == 1 else ["[ab].*"]

    return write


def text(name, content, ends, *says, ending="csv", rows=N):
    return Table(f"{name}.{ending}", files(**{f"rows_{ending.replace('.', '_')}": content}), ends, says, rows)


def frame(name, made, ends, *says, ending="parquet"):
    return text(name, packed(made, ending), ends, *says, ending=ending, rows=len(made))


def both(name, one, other, ends, *says, endings=("csv", "csv"), rows=2 * N):
    contents = [
        made if isinstance(made, bytes) else packed(made, ending)
        for made, ending in zip((one, other), endings, strict=True)
    ]
    names = [f"{letter}_{ending}" for letter, ending in zip("ab", endings, strict=True)]
    return Table(f"{' and '.join(endings)}: {name}", files(**dict(zip(names, contents, strict=True))), ends, says, rows)


def line(number, content):
    return "\n".join([*LINES[:number], content, *LINES[number + 1 :]]) + "\n"


def cell(column, value, ends, *, row=True, click=None):
    """A CSV with one value replaced; messages name its column and, unless told otherwise, its row."""
    fields = LINES[ROW].split(",")
    if click is not None:
        fields[GOOD.columns.index("click")] = click
    fields[GOOD.columns.index(column)] = value
    says = (f"'{column}'", f"in row {ROW}") if row else (f"'{column}'",)
    shown = f"{value!a}" if len(value) < 40 else f"{value[:9]!a}, {len(value):,} characters"
    return text(
        f"{column} {shown}{'' if click is None else f' click {click}'}", line(ROW, ",".join(fields)), ends, *says
    )


def column(name, what, values, ends, *says):
    """A Parquet file with one column replaced."""
    series = values if isinstance(values, pl.Series) else pl.Series(name, values)
    return frame(f"{name} {what}", GOOD.with_columns(series.alias(name)), ends, f"'{name}'", *says)


def damaged(content, seed, *, count=20):
    """Bytes of which some are others."""
    draw, changed = np.random.default_rng(seed), bytearray(content)
    for place in draw.integers(0, len(content), count):
        changed[place] ^= int(draw.integers(1, 256))
    return bytes(changed)


def special(write, ends="xxx", *says, rows=N):
    return Table(write.__name__.replace("_", " "), write, ends, says, rows)


def a_folder(folder):
    (folder / "rows.csv").mkdir()
    return ["rows.csv"]


def a_folder_of_parquet_files(folder):
    (folder / "rows.parquet").mkdir()
    GOOD.write_parquet(folder / "rows.parquet" / "a.parquet")
    return ["rows.parquet"]


def a_folder_among_the_files_of_a_glob(folder):
    (folder / "a.csv").mkdir()
    GOOD.write_csv(folder / "b.csv")
    return ["[ab].csv"]


def a_pipe(folder):
    os.mkfifo(folder / "rows.csv")
    return ["rows.csv"]


def a_pipe_of_parquet(folder):
    os.mkfifo(folder / "rows.parquet")
    return ["rows.parquet"]


def a_pipe_found_by_a_glob(folder):
    os.mkfifo(folder / "rows.csv")
    return ["*.csv"]


def a_device(_):
    return ["/dev/null"]


def a_link_to_nothing(folder):
    (folder / "rows.csv").symlink_to("gone.csv")
    return ["rows.csv"]


def a_link_to_nothing_found_by_a_glob(folder):
    (folder / "rows.csv").symlink_to("gone.csv")
    return ["*.csv"]


def a_link_to_itself(folder):
    (folder / "rows.csv").symlink_to("rows.csv")
    return ["rows.csv"]


def a_name_that_no_file_can_have(_):
    return ["x" * 300 + ".csv"]


def a_name_of_a_glob(folder):
    GOOD.write_csv(folder / "ro[ws].csv")
    return ["ro[ws].csv"]


def an_unknown_ending(folder):
    (folder / "rows.xls").write_bytes(b"PK")
    return ["rows.xls"]


def a_broken_workbook(folder):
    (folder / "rows.xlsx").write_bytes(b"PK")
    return ["rows.xlsx"]


def no_ending(folder):
    (folder / "rows").write_text(CSV)
    return ["rows"]


def _broken_csvs():
    header = LINES[0]
    yield from (
        text("empty", "", "xxx", "is empty", "header"),
        text("a line end", "\n", "xxx", "empty line"),
        text("line ends", "\n\n\n", "xxx", "empty line"),
        text("spaces", "   \n", "xxx"),
        text("a byte order mark", b"\xef\xbb\xbf", "xxx"),
        text("a header alone", header + "\n", "xxx", "has no rows"),
        text("a header without an end", header, "xxx", "has no rows"),
        text("one row", "\n".join(LINES[:2]) + "\n", "xxo", "'click' is constant", rows=1),
        text("latin-1", CSV.replace("u1", "\xe9").encode("latin-1"), "xxx", "column 'user'", "in row 2", "UTF-8"),
        text("latin-1 header", CSV.replace("price", "pr\xefs").encode("latin-1"), "xxx", "header", "UTF-8"),
        text("UTF-16", CSV.encode("utf-16"), "ooo"),
        text("UTF-16 without a mark", CSV.encode("utf-16-le"), "xxx", "header", "UTF-16"),
        text("UTF-32", CSV.encode("utf-32"), "xxx", "header", "UTF-8"),
        text("UTF-8 with a mark", b"\xef\xbb\xbf" + CSV.encode(), "ooo"),
        text("NUL in a text", CSV.replace("u1", "u\0"), "ooo"),
        text("NUL alone", b"\0" * 1000, "xxx", "NUL"),
        text("NUL in the header", CSV.replace("user", "us\0er", 1), "xxx", "NUL"),
        text("random bytes", np.random.default_rng(0).bytes(5000), "xxx"),
        text("a quote that is not closed", line(ROW, LINES[ROW].replace("u4", '"u')), "xxx", "row 5", "quote"),
        text("a quote not closed at the end", line(N, LINES[N].replace("u4", '"u')), "xxx", "row 40", "quote"),
        text("a quote not closed in the header", '"' + CSV, "xxx"),
        text("a quote inside", line(ROW, LINES[ROW].replace("u4", 'u"u"u')), "ooo"),
        text("a quote at the end", line(ROW, LINES[ROW].replace("u4", 'u"')), "xxx"),
        text("a line end in quotes", line(ROW, LINES[ROW].replace("u4", '"u\nv"')), "ooo"),
        text("all in quotes", "\n".join(",".join(f'"{v}"' for v in one.split(",")) for one in LINES), "ooo"),
        text("single quotes", line(ROW, LINES[ROW].replace("u4", "'a,b'")), "xxx", "row 5"),
        text("a field too many", line(ROW, LINES[ROW] + ",9"), "xxx", "row 5 has 9 fields and the header 8"),
        text("a header field too few", "\n".join([header.rpartition(",")[0], *LINES[1:]]), "xxx", "row 1 has 8 fields"),
        text("a header field too many", "\n".join([header + ",more", *LINES[1:]]), "ooo"),
        text("fields too few", line(ROW, LINES[ROW].rsplit(",", 2)[0]), "oxo", "'importance'", "in row 5"),
        text("one field alone", line(ROW, "5"), "oxo", "'importance'", "in row 5"),
        text("a comma at every end", "\n".join(one + "," for one in LINES), "ooo"),
        text("an empty line", line(ROW, ""), "oxo", "'importance'", "in row 5"),
        text("empty lines at the end", CSV + "\n\n", "oxo", "'importance'", "in row 41", rows=N + 2),
        text("empty lines at the beginning", "\n\n" + CSV, "xxx", "empty line"),
        text("CRLF", CSV.replace("\n", "\r\n"), "ooo"),
        text("CRLF and LF", CSV.replace("\n", "\r\n", 10), "ooo"),
        text("CR", CSV.replace("\n", "\r"), "xxx", "CR alone"),
        text("no line end at the end", CSV.rstrip(), "ooo"),
        text("semicolons", CSV.replace(",", ";"), "ooo"),
        text("tabs", CSV.replace(",", "\t"), "ooo"),
        text("bars", CSV.replace(",", "|"), "ooo"),
        text("commas", CSV, "ooo", ending="tsv"),
        text("tabs", CSV.replace(",", "\t"), "ooo", ending="tsv"),
        text("a name twice", CSV.replace("user", "price", 1), "xxx", "'price' stands more than once"),
        text("two blank names", CSV.replace("user", "", 1).replace("dwell", "", 1), "xxx", "'' stands more than once"),
        text("a blank name", CSV.replace("user", "", 1), "oxx", "'user' is not in the table"),
        text("a name of spaces", CSV.replace("user", '"  "', 1), "oxx", "'user' is not in the table"),
        text("a name in quotes", CSV.replace("user", '"user"', 1), "ooo"),
        text("a name after a space", CSV.replace("user", " user", 1), "oxx", "did you mean ' user'?"),
        text("a name in capitals", CSV.replace("user", "User", 1), "oxx", "did you mean 'User'?"),
        text("a name that looks alike", CSV.replace("price", "\u0440rice", 1), "oxx", "'price' is not in the table"),
        text("a name that row numbers have", CSV.replace("number", "__row__", 1), "xxx", "'__row__'", "rename"),
        text("a name of 10 MB", CSV.replace("user", "x" * (10 << 20), 1), "xxx", "header"),
        text("gzip", gzip.compress(CSV.encode()), "ooo", ending="csv.gz"),
        text("gzip in capitals", gzip.compress(CSV.encode()), "ooo", ending="csv.GZ"),
        text("gzip without its ending", gzip.compress(CSV.encode()), "xxx", "header"),
        text("gzip, cut", gzip.compress(CSV.encode())[:-20], "xxx", "cannot be read", ending="csv.gz"),
        text("gzip, damaged", gzip.compress(CSV.encode())[:-6] + b"xxxxxx", "xxx", ending="csv.gz"),
        text("gzip, and more", gzip.compress(CSV.encode()) + b"junk", "xxx", ending="csv.gz"),
        text("no gzip", CSV, "xxx", "gzip", ending="csv.gz"),
        text("an empty gzip", b"", "xxx", "is empty", ending="csv.gz"),
        text("bzip2", bz2.compress(CSV.encode()), "ooo", ending="csv.bz2"),
        text("bzip2, cut", bz2.compress(CSV.encode())[:-20], "xxx", "cannot be read", ending="csv.bz2"),
        text("no bzip2", CSV, "xxx", "cannot be read", ending="csv.bz2"),
        text("bzip2, damaged", damaged(bz2.compress(CSV.encode()), 0), "xxx", ending="csv.bz2"),
        text("Parquet", PARQUET, "xxx", "header"),
        text("IPC", IPC, "xxx"),
    )


def _values():
    infinite = ("1e400", "-1e400", "inf", "-inf", "Infinity")
    words = ("NULL", "None", "  ", "9.5abc", "0x1F", "1_000", "1e", "\u0661\u0662", "\uff19.5", "9.5%", "$9", "--5")
    words += ("0.1.2", "9;5", "\u22125", '"9,5"', '"9,500"', "1\0")
    numbers = (
        "1e308",
        "-1e308",
        "5e-324",
        "1e-400",
        "nan",
        "NaN",
        "",
        "  9.5  ",
        "+9.5",
        "-0.0",
        "true",
        "1e5",
        "9" * 26,
    )
    yield from (cell("price", value, "oxx") for value in (*infinite, *words, "9" * (10 << 20)))
    yield from (cell("price", value, "ooo") for value in numbers)
    yield from (cell("returning", value, "oxx") for value in ("t", "2", "maybe", "\u0442rue"))
    yield from (cell("returning", value, "ooo") for value in ("yes", "no", "TRUE", "", "1", "0.0"))
    no_times = (
        "2024-02-30",
        "0000-00-00",
        "99999-01-01",
        "-4712-01-01",
        "2024-13-01",
        "01/02/2024",
        "1710000000",
        "now",
    )
    no_times += ("24:00", "2024-03-01T25:00:00")
    times = ("9999-12-31", "", "2024-03-01", "1677-09-21T00:00:00", "2024-03-01 00:00:00.123456789")
    times += ("2024-03-01T00:00:00Z", "2024-03-01T00:00:00+05:30")
    yield from (cell("time", value, "oxx") for value in no_times)
    yield from (cell("time", value, "ooo") for value in times)
    yield from (cell("click", value, "oxo") for value in ("2", "-1", "0.5", "yes", "true", "null"))
    yield from (cell("click", value, "xxo") for value in ("inf", "1e400"))
    yield from (cell("click", value, "ooo") for value in ("", "1.0"))
    for value in ("inf", "text", "1e39", "1e308"):
        yield cell("dwell", value, "oxo", click="1")
        yield cell("dwell", value, "ooo", click="0")  # without a click nobody looks at it
    yield from (cell("dwell", value, "ooo") for value in ("-5", "1e29", ""))
    yield from (cell("importance", value, "oxo") for value in ("-1", "inf", "", "1e300"))
    yield from (cell("importance", value, "oxo", row=False) for value in ("text", "nan"))
    yield from (cell("importance", value, "ooo") for value in ("0", "0.0"))
    users = (
        "u9",
        "",
        '"' + "x" * (10 << 20) + '"',
        "u1 ",
        "\u00a0u1",
        "\u200bu1",
        "\u00e9",
        "e\u0301",
        "\U0001f600" * 3,
    )
    yield from (cell("user", value, "ooo") for value in (*users, "\x7f\x01", "-0", "1.0"))


def _columns():
    n = range(N)
    many = {
        "null": [None] * N,
        "NaN": [math.nan] * N,
        "binary": [b"\xff"] * N,
        "lists": [["a"]] * N,
        "structs": [{"a": 1}] * N,
        "durations": [timedelta(1)] * N,
        "clock times": [time(1, i) for i in n],
        "dates": [date(2024, 1, 1 + i % 28) for i in n],
        "arrays": pl.Series([[1.0, 2.0]] * N, dtype=pl.Array(pl.Float64, 2)),
        "decimals": [Decimal("1.5"), Decimal("2.25")] * (N // 2),
        "uint64": pl.Series([2**63 + i for i in n], dtype=pl.UInt64),
        "int128": pl.Series([2**100 + i for i in n], dtype=pl.Int128),
        "categoricals": pl.Series(["u1", "u2"] * (N // 2), dtype=pl.Categorical),
        "words": ["soon", "later"] * (N // 2),
    }
    refused = {
        "price": ("binary", "lists", "structs", "durations", "clock times", "dates", "arrays", "categoricals", "words"),
        "user": ("binary", "lists", "structs", "durations", "arrays"),
        "returning": tuple(set(many) - {"null", "NaN"}),
        "time": tuple(set(many) - {"null", "dates"}),
    }
    for name, kinds in refused.items():
        for what, values in many.items():
            yield column(name, what, values, "oxx" if what in kinds else "ooo")
    labels = ("binary", "lists", "structs", "durations", "dates", "null", "NaN")
    yield from (column("click", what, many[what], "xxo") for what in labels)
    yield from (column("click", what, many[what], "oxo") for what in ("words", "categoricals", "decimals"))
    yield column("click", "int128", many["int128"], "xxo")
    dwells = (*labels, "clock times", "arrays", "categoricals", "words")
    yield from (column("dwell", what, many[what], "oxo") for what in dwells)
    yield from (column("importance", what, many[what], "oxo") for what in (*dwells, "int128"))
    yield from (
        column("price", "far apart", [1e308, -1e308] * (N // 2), "ooo"),
        column("price", "denormal", [5e-324] * (N - 1) + [0.0], "ooo"),
        column("price", "one infinite", [1.0] * (N - 1) + [math.inf], "oxx", f"in row {N}"),
        column("price", "constant", [7.0] * N, "ooo"),
        column("price", "true or false", [True, False] * (N // 2), "ooo"),
        column("user", "one infinite", [1.0] * (N - 1) + [math.inf], "oxo", f"in row {N}"),
        column("time", "of a zone", GOOD["time"].dt.replace_time_zone("Europe/Berlin"), "ooo"),
        column("time", "in nanoseconds", GOOD["time"].cast(pl.Datetime("ns")), "ooo"),
        column("time", "far apart", [datetime(9999, 1, 1), datetime(1, 1, 1)] * (N // 2), "ooo"),
        column("time", "farthest", pl.Series([2**63 - 1, -(2**63)] * (N // 2)).cast(pl.Datetime("us")), "ooo"),
        column(
            "time", "farthest days", pl.Series([2**31 - 1, -(2**31)] * (N // 2), dtype=pl.Int32).cast(pl.Date), "ooo"
        ),
        column("click", "constant", [1] * N, "xxo", "is constant"),
        column("click", "never", [0] * N, "xxo", "is constant"),
        column("click", "observed once", [1] + [None] * (N - 1), "xxo", "is constant"),
        column("click", "booleans", [True, False] * (N // 2), "ooo"),
        column("click", "decimals of 0 and 1", [Decimal(1), Decimal(0)] * (N // 2), "ooo"),
        column("dwell", "constant", [3.0] * N, "oxo", "is constant"),
        column("dwell", "observed once", [3.0] + [None] * (N - 1), "oxo", "'dwell'"),
        column("dwell", "decimals", many["decimals"], "ooo"),
        column("importance", "all zero", [0.0] * N, "oxo", "no weight above 0"),
        column("importance", "decimals", many["decimals"], "ooo"),
    )


def _typed_files():
    wide = pl.DataFrame({f"c{i}": np.arange(N) * 1.0 for i in range(10_000)})
    yield from (
        frame("no rows", GOOD.head(0), "xxx", "has no rows"),
        frame("no rows", GOOD.head(0), "xxx", "has no rows", ending="ipc"),
        text("no columns", packed(pl.DataFrame(), "parquet"), "xxx", ending="parquet"),
        frame("one row", GOOD.head(1), "xxo", "is constant"),
        frame("10,000 more columns", pl.concat([GOOD, wide], how="horizontal"), "ooo"),
        frame("a name that row numbers have", GOOD.with_columns(__row__=1), "xxx", "'__row__'"),
        frame("a blank name", GOOD.rename({"number": ""}), "ooo"),
        frame("a struct beside", GOOD.with_columns(extra=pl.struct("user", "price")), "ooo"),
        frame("good", GOOD, "ooo", ending="ipc"),
        text("good, packed", gzip.compress(PARQUET), "ooo", ending="parquet.gz"),
    )
    for ending, content, other in (("parquet", PARQUET, IPC), ("ipc", IPC, PARQUET)):
        bad = {
            "empty": b"",
            "random bytes": np.random.default_rng(1).bytes(999),
            "cut": content[:-5],
            "cut in half": content[: len(content) // 2],
            "a beginning": content[:8],
            "CSV": CSV.encode(),
            "another format": other,
            "a broken footer": content[:-60] + b"\xff" * 20 + content[-40:],
        }
        yield from (text(name, made, "xxx", "cannot be read", ending=ending) for name, made in bad.items())
    yield text("a stream", GOOD.write_ipc_stream(None).getvalue(), "xxx", "cannot be read", ending="arrow")


def _ndjson():
    lines = NDJSON.decode()
    said = {
        "cut": (lines[:-30], "row 40"),
        "no JSON": ("{not json\n" * 5, "row 1"),
        "an array": (f"[{','.join(lines.splitlines())}]", "row 1"),
        "NaN": (lines.replace('"price":', '"price":NaN,"x":', 1), "row 1"),
        "null": ("null\n" * 5, "row 1"),
        "numbers": ("1\n2\n", "row 1"),
        "a byte order mark": (b"\xef\xbb\xbf" + NDJSON, "row 1"),
        "UTF-16": (lines.encode("utf-16"), "row 1"),
        "latin-1": (lines.replace("u1", "\xe9").encode("latin-1"), "row 2"),
    }
    yield from (text(name, made, "xxx", words, ending="ndjson") for name, (made, words) in said.items())
    yield text("empty", "", "xxx", "cannot be read", ending="ndjson")
    right = {
        "good": lines,
        "a key that one row lacks": lines.replace('"price"', '"prize"', 1),
        "a number among text": lines.replace('"user":"u1"', '"user":7', 1),
        "a key twice": lines.replace('"user":', '"user":"z","user":', 1),
        "an integer too large for any type": lines.replace('"number":5', '"number":123456789012345678901234567890'),
    }
    yield from (text(name, made, "ooo", ending="ndjson") for name, made in right.items())


def _several_files():
    late = GOOD.with_columns(price=pl.when(pl.col("number") == 7).then(math.inf).otherwise("price"))
    typed = ("parquet", "parquet")
    moments = pl.col("time").dt.replace_time_zone("UTC")
    yield from (
        both("good", GOOD, GOOD, "ooo"),
        both("another order of columns", GOOD, GOOD.select(GOOD.columns[::-1]), "ooo"),
        both("a column less", GOOD, GOOD.drop("price"), "xxx", "'price'", "a.csv", "b.csv"),
        both("a column more", GOOD, GOOD.with_columns(x=1), "xxx", "'x'", "a.csv", "b.csv"),
        both("another type", GOOD, GOOD.with_columns(price=pl.lit("cheap")), "xxx", "'price'", "b.csv"),
        both("one is empty", GOOD, b"", "xxx", "b.csv is empty"),
        both("one has no rows", GOOD, GOOD.head(0), "ooo", rows=N),
        both("two formats", GOOD, GOOD, "ooo", endings=("csv", "parquet")),
        both("a bad value in the second", GOOD, late, "oxx", "b.csv: column 'price'", "in row 8"),
        both("a bad value in the second", GOOD, late, "oxx", "b.parquet: column 'price'", "in row 8", endings=typed),
        both("one is cut", GOOD, PARQUET[:-9], "xxx", "b.parquet cannot be read", endings=typed),
        both("a time zone in one", GOOD.with_columns(moments), GOOD, "xxx", "'time'", "b.parquet", endings=typed),
        both("text and numbers", GOOD.with_columns(user=1), GOOD, "xxx", "'user'", "b.parquet", endings=typed),
        both("two sorts of integers", GOOD.cast({"number": pl.UInt64}), GOOD, "xxx", "'number'", endings=typed),
        both("no value in one", GOOD.with_columns(price=None), GOOD, "ooo", endings=typed),
        both("an enum in one", GOOD.cast({"user": pl.Enum([f"u{i}" for i in range(5)])}), GOOD, "ooo", endings=typed),
    )


TABLES = [
    *_broken_csvs(),
    *_values(),
    *_columns(),
    *_typed_files(),
    *_ndjson(),
    *_several_files(),
    special(a_folder, "xxx", "is a folder"),
    special(a_folder_of_parquet_files, "xxx", "is a folder"),
    special(a_folder_among_the_files_of_a_glob, "xxx", "a.csv is a folder"),
    special(a_pipe, "xxx", "pipe"),
    special(a_pipe_of_parquet, "xxx", "pipe"),
    special(a_pipe_found_by_a_glob, "xxx", "rows.csv is a pipe"),
    special(a_device),
    special(a_link_to_nothing, "xxx", "does not exist"),
    special(a_link_to_nothing_found_by_a_glob, "xxx", "rows.csv does not exist"),
    special(a_link_to_itself, "xxx", "does not exist"),
    special(a_name_that_no_file_can_have, "xxx", "does not exist"),
    special(a_name_of_a_glob, "ooo"),
    special(an_unknown_ending, "xxx", "ending .xls is unknown"),
    special(a_broken_workbook, "xxx", "rows.xlsx cannot be read"),
    special(no_ending, "xxx", "ending (none) is unknown"),
]
