import bz2
import gzip

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trunkline.errors import UserError
from trunkline.tables import ROW, infer, read, scan

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
        ("twice.tsv.gz", gzip.compress(b"a\tb\ta\n1\t2\t3\n"), ["'a' stands more than once"]),
        ("empty.csv", b"", ["is empty", "header"]),
        ("empty.csv.gz", gzip.compress(b""), ["is empty", "header"]),
        ("blank.csv", b"\n", ["is empty"]),
        ("header.csv", b"a,b\n", ["has no rows"]),
        ("empty.ndjson", b"", ["cannot be read"]),
        ("empty.parquet", b"", ["cannot be read"]),
        ("text.parquet", b"a,b\n1,2\n" * 9, ["cannot be read"]),
        ("text.ipc", b"a,b\n1,2\n" * 9, ["cannot be read"]),
        ("ragged.csv", b"a,b\n1,2\n3,4,5\n", ["cannot be read"]),
        ("latin.csv", "a,b\né,1\n".encode("latin1"), ["cannot be read", "utf-8"]),
        ("cut.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 5000)[:40], ["cannot be read"]),
        ("broken.csv.bz2", b"BZh9 but no more", ["cannot be read"]),
        ("rows.xlsx", b"PK", ["ending .xlsx is unknown", ".csv", ".parquet"]),
        ("rows", b"a\n1\n", ["ending (none) is unknown"]),
        ("rows.gz", gzip.compress(b"a\n1\n"), ["unknown"]),
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


def test_files_with_other_columns_do_not_mix(tmp_path):
    for name, content in (("1.csv", "a,b\n1,2\n"), ("2.csv", "a,c\n1,2\n")):
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError):
        read(str(tmp_path / "*.csv"))


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
        ("nested", [[1], [2]], None),
    ],
)
def test_inferred_kinds(name, values, kind):
    found = infer(pl.DataFrame({name: values}))
    assert [(feature.name, feature.kind) for feature in found] == ([(name, kind)] if kind else [])


def test_inference_leaves_out_what_it_is_told_to_and_the_row_number():
    frame = read(pl.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 2]}))
    assert [feature.name for feature in infer(frame, leave_out={"b"})] == ["a", "c"]
