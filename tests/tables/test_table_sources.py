import bz2
import gzip
import tempfile
import threading

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trunkline.errors import UserError
from trunkline.tables import ROW, chunks, infer, read, scan
from trunkline.tables.dialect import Dialect
from trunkline.tables.source import Files

FRAME = pl.DataFrame(
    {
        "id": [2**53, 2**53 + 1, -1, None, 2**63 - 1],
        "price": [1.5, None, -0.25, 1e-9, 4.0],
        "word": ["a,b", 'say "x"', None, "über", "tab\there"],
        "seen": [True, None, False, True, False],
    }
)


def write(frame, path):
    """The frame in the format that the path's ending says."""
    name = path.name
    if name.endswith((".csv", ".csv.gz", ".csv.bz2", ".tsv", ".tsv.gz")):
        data = frame.write_csv(separator="\t" if ".tsv" in name else ",").encode()
    elif name.endswith((".ndjson", ".jsonl", ".jsonl.gz")):
        data = frame.write_ndjson().encode()
    elif name.endswith((".parquet", ".pq")):
        return frame.write_parquet(path)
    else:
        return frame.write_ipc(path)
    pack = {".gz": gzip.compress, ".bz2": bz2.compress}.get(path.suffix, bytes)
    return path.write_bytes(pack(data))


ENDINGS = [
    "csv",
    "csv.gz",
    "csv.bz2",
    "tsv",
    "tsv.gz",
    "parquet",
    "pq",
    "ipc",
    "arrow",
    "feather",
    "ndjson",
    "jsonl",
    "jsonl.gz",
    "CSV",
]


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_gives_the_same_frame(tmp_path, ending):
    path = tmp_path / f"rows.v1.{ending}"
    write(FRAME, path.with_suffix(path.suffix.lower()))
    path.with_suffix(path.suffix.lower()).rename(path)
    expected = FRAME.with_row_index(ROW, offset=1)
    assert_frame_equal(read(path), expected)
    assert_frame_equal(read(str(path)), expected)
    assert_frame_equal(scan(path).collect(), expected)
    assert_frame_equal(pl.concat(chunks(path, rows=2)), expected, check_dtypes=False)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "csv.bz2", "parquet", "ipc", "ndjson"])
def test_a_glob_and_a_list_are_one_table_in_order(tmp_path, ending):
    for i in range(len(FRAME)):
        write(
            FRAME[i : i + 1].with_columns(id=pl.lit(i, pl.Int64), price=0.5, word=pl.lit("w"), seen=True),
            tmp_path / f"part{i}.{ending}",
        )
    found = read(str(tmp_path / f"part*.{ending}"))
    assert found["id"].to_list() == list(range(5))
    assert found[ROW].to_list() == [1, 2, 3, 4, 5]
    chosen = read([tmp_path / f"part{i}.{ending}" for i in (3, 1)])
    assert chosen["id"].to_list() == [3, 1]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "ndjson", "parquet", "ipc"])
def test_a_file_name_may_hold_what_a_glob_would_expand(tmp_path, ending):
    path = tmp_path / f"week[1]*.{ending}"
    write(FRAME[:2], path)
    write(FRAME[2:], tmp_path / f"week1x.{ending}")
    assert len(read(path)) == 2


def test_null_values_and_types_shape_a_csv(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("n,code\n1,007\n-,010\n3,-\n")
    assert read(path, null_values=["-"])["n"].to_list() == [1, None, 3]
    typed = scan(path, null_values=["-"], types={"code": pl.String(), "absent": pl.String()}).collect()
    assert typed["code"].to_list() == ["007", "010", None]


def test_types_are_decided_by_the_whole_file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("n\n" + "1\n" * 30_000 + "2.5\n")
    assert read(path)["n"].dtype == pl.Float64


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(b"\xef\xbb\xbfa,b\n1,2\n")
    assert read(path).columns == [ROW, "a", "b"]


def test_a_frame_is_taken_as_it_is_and_numbered():
    assert read(FRAME)[ROW].to_list() == [1, 2, 3, 4, 5]
    part = read(FRAME)[3:]
    assert read(part)[ROW].to_list() == [4, 5]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("twice.csv", b"a,b,a\n1,2,3\n", ["'a' stands more than once"]),
        ("twice.tsv.gz", gzip.compress(b"a\tb\ta\n1\t2\t3\n", mtime=0), ["'a' stands more than once"]),
        ("empty.csv", b"", ["is empty", "header"]),
        ("empty.csv.gz", gzip.compress(b"", mtime=0), ["is empty", "header"]),
        ("blank.csv", b"\n", ["begins with an empty line"]),
        ("header.csv", b"a,b\n", ["has no rows"]),
        ("empty.ndjson", b"", ["cannot be read"]),
        ("empty.parquet", b"", ["cannot be read"]),
        ("text.parquet", b"a,b\n1,2\n" * 9, ["cannot be read"]),
        ("text.ipc", b"a,b\n1,2\n" * 9, ["cannot be read"]),
        ("ragged.csv", b"a,b\n1,2\n3,4,5\n", ["cannot be read", "row 2 has 3 fields and the header 2"]),
        ("latin.csv", "a,b\né,1\n".encode("latin1"), ["cannot be read", "column 'a' in row 1 is no text in UTF-8"]),
        ("cut.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 5000, mtime=0)[:40], ["cannot be read"]),
        ("broken.csv.bz2", b"BZh9 but no more", ["cannot be read"]),
        ("rows.xlsx", b"PK", ["cannot be read"]),
        ("rows.xlsm", b"PK", ["ending .xlsm is unknown", ".csv", ".parquet", ".xlsx"]),
        ("rows", b"a\n1\n", ["ending (none) is unknown"]),
        ("rows.gz", gzip.compress(b"a\n1\n", mtime=0), ["unknown"]),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as found:
        read(path)
    assert str(path) in str(found.value)
    for word in words:
        assert word in str(found.value)


def test_a_damaged_gzip_says_so(tmp_path):
    data = bytearray(gzip.compress(b"a,b\n" + b"1,2\n" * 10_000))
    data[20] ^= 255
    data[len(data) // 2] ^= 255
    path = tmp_path / "damaged.csv.gz"
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match=r"damaged\.csv\.gz cannot be read"):
        read(path)


def test_all_bad_paths_come_at_once(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "rows.txt").write_text("a\n1\n")
    paths = [tmp_path / "absent.csv", tmp_path / "none*.csv", tmp_path / "folder", tmp_path / "rows.txt"]
    with pytest.raises(UserError) as found:
        scan(paths)
    assert len(found.value.problems) == 4
    for words in ("absent.csv does not exist", "no file matches", "is a folder", "ending .txt"):
        assert words in str(found.value)


def number(n, *, start=0):
    """Rows that say their number, wide enough that Parquet has several pages of them."""
    numbers = pl.int_range(start, start + n, eager=True)
    return pl.DataFrame({"i": numbers, "text": pl.select(pl.format("row {}", numbers)).to_series(), "x": numbers / 7})


@pytest.mark.parametrize("ending", ["parquet", "csv", "ipc", "ndjson", "csv.gz"])
@pytest.mark.parametrize("rows", [1000, 7000, 10**6])
def test_chunks_are_the_table_in_order(tmp_path, ending, rows):
    for name, start, n in (("a", 0, 5000), ("b", 5000, 1), ("c", 5001, 12_000), ("d", 17_001, 20)):
        write(number(n, start=start), tmp_path / f"{name}.{ending}")
    found = list(chunks(str(tmp_path / f"*.{ending}"), rows=rows))
    assert_frame_equal(pl.concat(found), read(str(tmp_path / f"*.{ending}")), check_dtypes=False)
    assert pl.concat(found)["i"].to_list() == list(range(17_021))
    assert {len(chunk) for chunk in found[:-1]} <= {rows}
    assert len(found[-1]) <= rows
    assert Files(str(tmp_path / f"*.{ending}")).count() == 17_021


def test_chunks_hold_the_columns_that_are_asked_for(tmp_path):
    write(number(10), tmp_path / "a.parquet")
    (found,) = chunks(tmp_path / "a.parquet", columns=["x", "i"])
    assert found.columns == [ROW, "x", "i"]
    assert found[ROW].to_list() == list(range(1, 11))


def test_many_small_files_make_large_chunks(tmp_path):
    for i in range(30):
        write(number(10, start=10 * i), tmp_path / f"{i:02}.csv")
    found = list(chunks(str(tmp_path / "*.csv"), rows=100))
    assert [len(chunk) for chunk in found] == [100, 100, 100]


def test_chunks_need_rows(tmp_path):
    for name in "ab":
        write(number(0), tmp_path / f"{name}.parquet")
    with pytest.raises(UserError, match=r"\*\.parquet has no rows"):
        list(chunks(str(tmp_path / "*.parquet")))
    with pytest.raises(UserError, match="has no rows"):
        Files(str(tmp_path / "*.parquet")).count()
    write(number(3), tmp_path / "b.parquet")
    assert [len(chunk) for chunk in chunks(str(tmp_path / "*.parquet"))] == [3]


def test_chunks_can_be_left_early(tmp_path):
    number(400_000).write_parquet(tmp_path / "a.parquet", row_group_size=1000)
    before = threading.active_count()
    for _ in range(5):
        found = chunks(tmp_path / "a.parquet", rows=500)
        assert len(next(found)) == 500
        found.close()
    assert threading.active_count() == before


WAYS = {"read": read, "scan": scan, "chunks": lambda path: list(chunks(path))}
DAMAGES = ["half", "end", "pages", "footer"]


@pytest.mark.parametrize(
    ("damage", "way"), [(damage, way) for damage in DAMAGES for way in WAYS if (damage, way) != ("pages", "scan")]
)
def test_a_damaged_parquet_file_is_named_among_many(tmp_path, damage, way):
    for i in range(3):
        number(50_000, start=50_000 * i).write_parquet(tmp_path / f"{i}.parquet", row_group_size=10_000)
    bad = tmp_path / "1.parquet"
    data = bad.read_bytes()
    if damage == "half":
        data = data[: len(data) // 2]
    elif damage == "end":
        data = data[:-1]
    elif damage == "pages":
        data = data[:10_000] + bytes(30_000) + data[40_000:]
    else:
        data = data[:-200] + bytes(100) + data[-100:]
    bad.write_bytes(data)
    with pytest.raises(UserError, match=r"1\.parquet cannot be read: ") as found:
        WAYS[way](str(tmp_path / "*.parquet"))
    assert "0.parquet" not in str(found.value)


@pytest.mark.parametrize("way", WAYS)
def test_files_with_other_columns_do_not_mix(tmp_path, way):
    for name, content in (("1.csv", "a,b\n1,2\n"), ("2.csv", "a,c\n1,2\n")):
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as found:
        WAYS[way](str(tmp_path / "*.csv"))
    missing = [problem.split(";")[0] for problem in found.value.problems]
    assert missing == [
        f"column 'b' (Int64 in {tmp_path / '1.csv'}) is missing in {tmp_path / '2.csv'}",
        f"column 'c' (Int64 in {tmp_path / '2.csv'}) is missing in {tmp_path / '1.csv'}",
    ]


def test_columns_may_stand_in_another_order(tmp_path):
    (tmp_path / "1.csv").write_text("a,b\n1,x\n")
    (tmp_path / "2.csv").write_text("b,a\ny,2\n")
    for found in (read(str(tmp_path / "*.csv")), *chunks(str(tmp_path / "*.csv"))):
        assert found.drop(ROW).to_dict(as_series=False) == {"a": [1, 2], "b": ["x", "y"]}


TOGETHER = [
    (pl.Int64, pl.Float64, pl.Float64),
    (pl.Int8, pl.Int64, pl.Int64),
    (pl.UInt32, pl.Int32, pl.Int64),
    (pl.Float32, pl.Float64, pl.Float64),
    (pl.Null, pl.Int64, pl.Int64),
    (pl.Null, pl.String, pl.String),
    (pl.String, pl.Categorical, pl.String),
    (pl.Date, pl.Datetime("us"), pl.Datetime("us")),
    (pl.Datetime("ms"), pl.Datetime("us"), None),
    (pl.List(pl.Int64), pl.List(pl.Null), pl.List(pl.Int64)),
    (pl.List(pl.Int32), pl.List(pl.Int64), pl.List(pl.Int64)),
]


@pytest.mark.parametrize(("one", "other", "common"), TOGETHER)
@pytest.mark.parametrize("turned", [False, True])
def test_types_that_go_together(tmp_path, one, other, common, turned):
    for name, dtype in zip("ab", (other, one) if turned else (one, other), strict=True):
        pl.DataFrame({"c": pl.Series([None, None], dtype=dtype), "n": [1, 2]}).write_ipc(tmp_path / f"{name}.ipc")
    for found in (read(str(tmp_path / "*.ipc")), *chunks(str(tmp_path / "*.ipc"))):
        assert len(found) == 4
        assert common is None or found["c"].dtype == common


APART = [
    (pl.Series([1, 2]), pl.Series(["a", "b"])),
    (pl.Series([True, False]), pl.Series([1, 0])),
    (pl.Series(["2024-01-01", "x"]), pl.Series(["2024-01-01", "2024-02-01"]).str.to_date()),
    (pl.Series([[1], [2]]), pl.Series([["a"], ["b"]])),
    (pl.Series([[1], [2]]), pl.Series([1, 2])),
    (pl.Series([1, 2], dtype=pl.UInt64), pl.Series([-1, 2])),
    (pl.Series([1, 2]), pl.Series(["2024-01-01", "2024-02-01"]).str.to_date()),
]


@pytest.mark.parametrize(("one", "other"), APART, ids=[f"{a.dtype} {b.dtype}" for a, b in APART])
@pytest.mark.parametrize("way", WAYS)
def test_types_that_do_not_go_together_are_told_with_their_files(tmp_path, one, other, way):
    for name, series in zip("abc", (one, one, other), strict=True):
        pl.DataFrame({"c": series, "n": [1, 2]}).write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(UserError) as found:
        WAYS[way](str(tmp_path / "*.parquet"))
    a, c = tmp_path / "a.parquet", tmp_path / "c.parquet"
    assert f"column 'c' is {one.dtype} in {a} and {other.dtype} in {c}; " in str(found.value)
    assert len(found.value.problems) == 1


def test_an_empty_csv_column_takes_the_type_of_the_others(tmp_path):
    for name, content in (("1.csv", "a,b\n,1\n,2\n"), ("2.csv", "a,b\n7,1\n"), ("3.csv", "a,b\n,1\n")):
        (tmp_path / name).write_text(content)
    assert read(str(tmp_path / "*.csv"))["a"].to_list() == [None, None, 7, None]
    assert read([tmp_path / "2.csv", tmp_path / "1.csv"])["a"].dtype == pl.Int64
    (tmp_path / "3.csv").write_text("a,b\nx,1\n")
    with pytest.raises(UserError, match=r"'a' is Int64 in .*2\.csv and String in .*3\.csv"):
        read(str(tmp_path / "*.csv"))


def test_text_is_gone_through_once_for_its_types(tmp_path, monkeypatch):
    """A CSV's types take longer to find than its rows to read."""
    (tmp_path / "a.csv").write_text("a,b\n1,2024-01-01\n2.5,2024-02-01\n")
    scans, real = [], pl.scan_csv

    def scan_csv(*arguments, schema, **options):
        scans.append(schema if options["infer_schema"] else "text")
        return real(*arguments, schema=schema, **options)

    monkeypatch.setattr(pl, "scan_csv", scan_csv)
    files = Files(tmp_path / "a.csv")
    for _ in range(3):
        assert [chunk["a"].to_list() for chunk in files.chunks()] == [[1.0, 2.5]]
    assert files.read()["b"].dtype == pl.Date
    assert sum(schema is None for schema in scans) == 1


def test_values_do_not_depend_on_how_a_file_is_read(tmp_path):
    """What is parsed with types found before is what polars parses on its own."""
    draw = np.random.default_rng(0)
    n = 500
    frame = pl.DataFrame(
        {
            "big": draw.integers(-(2**62), 2**62, n),
            "float": draw.normal(size=n) * 10.0 ** draw.integers(-8, 8, n),
            "day": pl.Series(draw.integers(0, 20_000, n)).cast(pl.Date),
            "moment": pl.Series(draw.integers(0, 2**50, n)).cast(pl.Datetime("us")),
            "flag": draw.random(n) < 0.5,
            "text": [f'"{i}", é' for i in range(n)],
        }
    )
    holes = pl.Series(draw.random(n) < 0.2)
    frame = frame.with_columns(pl.when(holes).then(None).otherwise(pl.col(name)).alias(name) for name in frame.columns)
    frame.write_csv(tmp_path / "a.csv")
    expected = pl.read_csv(tmp_path / "a.csv", try_parse_dates=True, infer_schema_length=None)
    assert_frame_equal(read(tmp_path / "a.csv").drop(ROW), expected)
    assert_frame_equal(pl.concat(chunks(tmp_path / "a.csv", rows=100)).drop(ROW), expected)


def test_a_frame_without_rows_is_refused():
    with pytest.raises(UserError, match="has no rows"):
        read(FRAME.head(0))


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("word", ["a", "b", None], "categorical"),
        ("word", pl.Series(["a", "b"]).cast(pl.Categorical), "categorical"),
        ("flag", [True, False, None], "boolean"),
        ("x", [0.5, 1.5], "numeric"),
        ("x", pl.Series([1, 2]).cast(pl.Decimal(10, 2)), "numeric"),
        ("n", [1, 2, 3], "numeric"),
        ("n", [1, 2**24], "numeric"),
        ("n", [1, 2**24 + 1], "categorical"),
        ("n", [1, -(2**24) - 1], "categorical"),
        ("n", [-(2**63), 1], "categorical"),
        ("n", pl.Series([1, 2**64 - 1], dtype=pl.UInt64), "categorical"),
        ("id", [1, 2], "categorical"),
        ("ID", [1, 2], "categorical"),
        ("user_id", [1, 2], "categorical"),
        ("userId", [1, 2], "categorical"),
        ("paid", [1, 2], "numeric"),
        ("t", pl.Series(["2024-01-01", "2024-01-02"]).str.to_date(), "datetime"),
        ("t", pl.Series(["2024-01-01 10:00", "2024-01-02 11:00"]).str.to_datetime(), "datetime"),
        ("constant", [1, 1, None], None),
        ("nothing", [None, None], None),
        ("nested", [{"a": 1}, {"a": 2}], None),
    ],
)
def test_inferred_kinds(name, values, kind):
    found = infer(pl.DataFrame({name: values}))
    assert [(feature.name, feature.kind) for feature in found] == ([(name, kind)] if kind else [])


def test_inference_leaves_out_what_it_is_told_to_and_the_row_number():
    frame = read(pl.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 2]}))
    assert [feature.name for feature in infer(frame, leave_out={"b"})] == ["a", "c"]


@pytest.mark.parametrize(("name", "dialect"), [("a.csv.bz2", Dialect()), ("a.csv", Dialect(encoding="utf-16"))])
def test_a_packed_file_is_unpacked_once_for_each_state_of_it(name, dialect, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()

    def write(value):
        text = f"x\n{value}\n"
        (tmp_path / name).write_bytes(bz2.compress(text.encode()) if "bz2" in name else text.encode("utf-16"))

    def copies():
        return len(list((tmp_path / "temporary").iterdir()))

    write(1)
    for _ in range(3):
        assert Files(tmp_path / name, dialect=dialect).read()["x"].to_list() == [1]
    assert copies() == 1
    write(22)
    assert Files(tmp_path / name, dialect=dialect).read()["x"].to_list() == [22]
    assert copies() == 2
