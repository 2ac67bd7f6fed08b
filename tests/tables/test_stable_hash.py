import re

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.errors import UserError
from trunkline.nn.embedding import MISSING
from trunkline.tables import Encoder, make_feature
from trunkline.tables.columns.splitmix import splitmix
from trunkline.tables.columns.stable_hash import stable_hash

MASK = 2**64 - 1


def mix(state):
    """SplitMix64's output function, one number at a time."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def text_hash(text, seed):
    data = text.encode()
    result = mix(((seed ^ MASK) + len(data)) & MASK)
    for start in range(0, len(data), 8):
        result = mix(result ^ int.from_bytes(data[start : start + 8], "little"))
    return result


def expected(value, salt=None):
    """The documented hash of one value, in plain Python."""
    seed = 0 if salt is None else expected(salt)
    written = re.fullmatch(r"(0|-?[1-9][0-9]*)(\.0+)?", value) if isinstance(value, str) else None
    if written and -(2**63) <= int(written[1]) < 2**64:
        value = int(written[1])
    return mix((value & MASK) ^ seed) if isinstance(value, int) else text_hash(value, seed)


def hashes(values, salt="user", dtype=None):
    return stable_hash(pl.Series("c", values, dtype=dtype), salt=salt).tolist()


GOLDEN = [
    4115163073747922749,
    8839262550374227265,
    12334770384048641307,
    6685970079026732078,
    7587073708672949156,
    11088923612573387386,
    11192753480424534420,
    4115163073747922749,
]


def test_splitmix_is_the_published_one():
    # the first outputs of Vigna's splitmix64.c from seed 1234567
    step = 0x9E3779B97F4A7C15
    states = np.array([(1234567 + i * step) & MASK for i in range(3)], dtype=np.uint64)
    assert splitmix(states).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_hash_never_changes():
    """Rows of a trained embedding table depend on these numbers."""
    found = hashes(["", "a", "Zürich", "0123456789abcdef", "x" * 40, "123", "-7", "18446744073709551615"])
    assert found == GOLDEN
    assert hashes([123, -7]) == GOLDEN[5:7]
    assert hashes([2**64 - 1], dtype=pl.UInt64) == GOLDEN[7:]
    encoder = Encoder.fit([make_feature(name="user", kind="hashed", rows=1000)], pl.DataFrame({"user": ["a"]}))
    codes = encoder.encode(pl.DataFrame({"user": ["a", "123", None, "Zürich"]})).ids[:, 0].tolist()
    assert codes == [2 + GOLDEN[1] % 1000, 2 + GOLDEN[5] % 1000, MISSING, 2 + GOLDEN[2] % 1000]


NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.integers(-1000, 1000) | st.integers(10**17, 10**20)
TEXTS = (
    st.text(st.characters(codec="utf-8"))
    | st.text("0123456789-+. e", max_size=24)
    | NUMBERS.map(str)
    | st.text(st.characters(codec="utf-8"), min_size=15, max_size=70)
)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(TEXTS), salt=st.text(st.characters(codec="utf-8")))
def test_text_hashes_as_the_reference_says_whatever_stands_beside_it(values, salt):
    found = hashes(values, salt, pl.String)
    assert found == [expected(value, salt) for value in values]
    assert found == [hashes([value], salt, pl.String)[0] for value in values]
    assert hashes(values * 100, salt, pl.String) == found * 100


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_whole_numbers_hash_alike_as_numbers_and_as_text(values):
    found = hashes(values, dtype=pl.Int64)
    assert found == [expected(value, "user") for value in values]
    assert hashes([str(value) for value in values], dtype=pl.String) == found
    assert hashes([f"{value}.0" for value in values], dtype=pl.String) == found
    assert hashes([f"{value}.00" for value in values], dtype=pl.String) == found
    exact = [value for value in values if float(value) == value and abs(value) < 2**53]
    assert hashes([float(value) for value in exact], dtype=pl.Float64) == hashes(exact, dtype=pl.Int64)


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int16, pl.UInt32, pl.UInt64, pl.Float32, pl.Int128])
def test_every_width_of_a_number_hashes_alike(dtype):
    assert hashes([0, 7, 127], dtype=dtype) == hashes([0, 7, 127], dtype=pl.Int64)


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["b", "a"])])
def test_every_guise_of_text_hashes_alike(dtype):
    assert hashes(["a", "b", None], dtype=dtype)[:2] == hashes(["a", "b"])
    assert hashes([True, False]) == hashes(["true", "false"])


def test_text_that_only_looks_like_a_number_is_text():
    odd = [
        "7",
        "07",
        "+7",
        "-0",
        "7.5",
        " 7",
        "7 ",
        "1e1",
        "7.",
        ".0",
        "7.0.0",
        "٧",
        "-",
        "--7",
        "",
        "0",
        "-7",
        "1_000",
    ]
    assert len(set(hashes(odd))) == len(odd)
    assert hashes(["7.0", "-7.00"]) == hashes(["7", "-7"])
    assert hashes(["99999999999999999999"]) == [text_hash("99999999999999999999", expected("user"))]


def test_another_salt_is_another_hash():
    values = list(range(1000))
    assert not set(hashes(values, "user")) & set(hashes(values, "item"))


@pytest.mark.parametrize(
    "values", [list(range(100_000)), [f"item-{i}" for i in range(100_000)], [i << 40 for i in range(100_000)]]
)
def test_values_spread_evenly(values):
    buckets = 997
    counts = np.bincount(np.array(hashes(values), dtype=np.uint64) % np.uint64(buckets), minlength=buckets)
    chi_squared = ((counts - len(values) / buckets) ** 2).sum() / (len(values) / buckets)
    assert abs(chi_squared - (buckets - 1)) < 4.5 * np.sqrt(2 * (buckets - 1))
    assert len(set(hashes(values))) == len(values)


def test_csv_and_parquet_agree(tmp_path):
    frame = pl.DataFrame({"c": [1.0, None, 3.0, 2.0**40]})
    frame.write_csv(tmp_path / "rows.csv")
    encoder = Encoder.fit([make_feature(name="c", kind="hashed", rows=50)], frame)
    text = pl.read_csv(tmp_path / "rows.csv", schema_overrides=encoder.csv_types())
    assert text["c"].dtype == pl.String
    assert encoder.encode(text).ids.equal(encoder.encode(frame).ids)
    assert encoder.encode(frame.cast(pl.Int64)).ids.equal(encoder.encode(frame).ids)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([1.0, None, 0.5], "column 'c' holds 0.5 in row 3; a hashed column holds text or whole numbers"),
        ([float("inf")], "column 'c' holds inf in row 1"),
        ([1e19], "column 'c' holds 1e\\+19 in row 1"),
        (pl.Series(["2024-01-01"]).str.to_date(), "column 'c' is Date; a hashed column holds text or whole numbers"),
        ([["a"]], "column 'c' is List"),
    ],
)
def test_what_cannot_be_hashed_is_named_when_fitting_and_when_encoding(values, words):
    feature = make_feature(name="c", kind="hashed", rows=5)
    with pytest.raises(UserError, match=words):
        Encoder.fit([feature], pl.DataFrame({"c": values}))
    with pytest.raises(UserError, match=words):
        Encoder.fit([feature], pl.DataFrame({"c": [1]})).encode(pl.DataFrame({"c": values}))


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_ids_stay_inside_the_table_and_leave_the_unseen_row_alone(rows):
    encoder = Encoder.fit([make_feature(name="c", kind="hashed", rows=rows, dim=3)], pl.DataFrame({"c": [None]}))
    assert (encoder.rows, encoder.widths) == ([rows + 2], [3])
    codes = encoder.encode(pl.DataFrame({"c": [*range(200), None]})).ids[:, 0].tolist()
    assert set(codes[:-1]) == set(range(2, rows + 2))
    assert codes[-1] == MISSING
    assert Encoder.from_json(encoder.to_json()).columns == encoder.columns
