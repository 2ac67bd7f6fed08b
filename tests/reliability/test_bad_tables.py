"""Whatever table a command is given, it gives a right result or a message, and leaves nothing half done behind."""

import faulthandler
import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from bad_tables import CSV, GOOD, IPC, LINES, PARQUET, TABLES, N, damaged, good_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trunkline import Model, fit
from trunkline.cli import main
from trunkline.config import Config
from trunkline.inference import stream
from trunkline.tables.source import Files

SECONDS = 20
"""After which a command counts as hung."""
SETTINGS = {
    "features": {"user": "categorical", "price": "numeric", "returning": "boolean", "time": "datetime"},
    "tasks": {
        "click": {"kind": "binary"},
        "dwell": {"kind": "regression", "where": "click", "weight": "importance"},
    },
    "network": {"sharing": {"hidden": [6]}, "towers": {"hidden": []}},
    "training": {"epochs": 1, "batch_size": 16, "device": "cpu"},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run, and a good table for its validation."""
    folder = tmp_path_factory.mktemp("model")
    good_rows(60, seed=1).write_parquet(folder / "valid.parquet")
    fit(SETTINGS, train=good_rows(200), valid=good_rows(60, seed=1), out=folder / "run")
    return folder / "run"


class Hung(BaseException):
    """Nobody takes it for an error of a file, as a `TimeoutError` would be."""


@contextmanager
def no_hang():
    def hung(*_):
        raise Hung(f"no end after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hung)
    faulthandler.dump_traceback_later(2 * SECONDS, exit=True)  # where no signal is taken
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def trunkline(monkeypatch, capfd):
    """The command line in this process: arguments -> (exit status, stdout, stderr, of libraries too)."""
    monkeypatch.setenv("TRUNKLINE_STORE", "none")

    def trunkline(*arguments):
        monkeypatch.setattr(sys, "argv", ["trunkline", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        with no_hang():
            try:
                main()
            except SystemExit as exit_:
                status = exit_.code or 0
        return status, *capfd.readouterr()

    return trunkline


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder):
    """Every name in a folder, with what a file holds."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def command(name, folder, run, files):
    """The arguments of a command on a table; what it needs beside it is there."""
    if name == "init":
        return "init", *files, "--task", "click", "-o", "made.yaml"
    if name == "train":
        data = {"train": files, "valid": str(run.parent / "valid.parquet")}
        (folder / "feed.yaml").write_text(yaml.safe_dump({**SETTINGS, "data": data}))
        return "train", "feed.yaml", "--out", "new", "--quiet"
    (folder / "out.parquet").write_text("mine")
    return "predict", run, *files, "-o", "out.parquet", "--overwrite"


def check_refused(found, before, folder, files):
    status, out, err = found
    assert (status, out) == (2, "")
    if "panicked at" in err:  # polars prints this by itself before Python hears of it; ours comes after it
        err = err[err.rindex("\nerror: ") + 1 :]
    for problem in err.splitlines():
        assert problem.startswith("error: "), err
    names = {Path(name).name for name in files} | {path.name for path in folder.iterdir()} - {
        "feed.yaml",
        "out.parquet",
    }
    assert all(any(name in problem for name in names) for problem in err.splitlines()), err
    assert contents(folder) == before


def check_right(name, found, folder, run, rows):
    status, out, err = found
    assert status == 0, err
    # rows to predict that are unlike the run's are right, and are told as what they are
    assert not err or (name == "predict" and err.startswith("unlike the validation rows")), err
    assert bool(out) == (name != "train")  # --quiet
    if name == "init":
        Config.make(folder / "made.yaml")
        assert f"\n{rows:,} rows, " in out
    elif name == "train":
        scores = json.loads((folder / "new" / "metrics.json").read_text())
        assert scores["valid"]["click"]["rows"] == 60
        check_estimates(Model.load(folder / "new", device="cpu")(GOOD), N)
    else:
        check_estimates(pl.read_parquet(folder / "out.parquet"), rows)


def check_estimates(found, rows):
    assert len(found) == rows
    click, dwell = found["click"].to_numpy(), found["dwell"].to_numpy()
    assert ((click >= 0) & (click <= 1)).all()
    assert np.isfinite(dwell).all()


def test_there_are_enough_bad_tables():
    names = [table.name for table in TABLES]
    assert len(names) >= 200
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_table_gives_a_right_result_or_a_message(table, run, trunkline, here):
    files = table.write(here)
    for name, end in zip(("init", "train", "predict"), table.ends, strict=True):
        arguments = command(name, here, run, files)
        before = contents(here)
        found = trunkline(*arguments)
        if end == "x":
            check_refused(found, before, here, files)
            # `init` judges no feature, and finds fault with the first column that it looks at
            for words in table.says if name != "init" or table.ends[1:] == "xx" else ():
                assert words in found[2], found[2]
        else:
            check_right(name, found, here, run, table.rows)


BAD = GOOD.with_columns(price=pl.lit("cheap"))
PARTS = {
    "text in a numeric column": (BAD, ["column 'price' holds 'cheap' in row 1"]),
    "a column less": (GOOD.drop("user"), ["feature column 'user' is not in the table"]),
    "a label less": (GOOD.drop("dwell"), ["label column 'dwell' is not in the table"]),
    "a label out of range": (GOOD.with_columns(click=2), ["'click' holds 2 in row 1"]),
    "a weight below 0": (GOOD.with_columns(importance=-1.0), ["'importance' holds -1 in row 1"]),
    "no rows": (GOOD.head(0), ["has no rows"]),
    "one row": (GOOD.head(1), None),
    "a label that never happens": (GOOD.with_columns(click=0), None),
    "no label": (GOOD.with_columns(click=None, dwell=None), None),
    "values that training lacks": (GOOD.with_columns(user=pl.lit("new"), price=1e300, time=None), None),
    "other types": (GOOD.cast({"click": pl.Float32, "price": pl.Float32, "user": pl.Categorical}), None),
    "weights of 0": (GOOD.with_columns(importance=0.0), None),
}


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize("what", PARTS)
def test_another_part_that_is_bad(what, part, run, trunkline, here):
    table, words = PARTS[what]
    table.write_parquet(f"{part}.parquet")
    GOOD.write_parquet("train.parquet")
    data = {"train": "train.parquet", "valid": "train.parquet", part: f"{part}.parquet"}
    (here / "feed.yaml").write_text(yaml.safe_dump({**SETTINGS, "data": data}))
    before = contents(here)
    found = trunkline("train", "feed.yaml", "--out", "new", "--quiet")
    if words is None:
        assert (found[0], found[2]) == (0, "")
        json.loads((here / "new" / "metrics.json").read_text(), parse_constant=pytest.fail)
    else:
        check_refused(found, before, here, [f"{part}.parquet"])
        assert all(word in found[2] for word in words)


LABELS = {
    "0 and 1": [0, 1],
    "negative": [-3, -1, 0, 2],
    "fractions": [0.5, 1.25, 2.0],
    "huge": [1e308, 1.0],
    "beyond float32": [1e39, 3.0],
    "tiny": [5e-324, 1.0],
    "integers beyond float64": [2**63 - 1, 2**53 + 1],
    "text": ["a", "b", "c"],
    "bytes": [b"a", b"b"],
    "decimals": pl.Series([1, 2], dtype=pl.Decimal(10, 2)),
    "int128": pl.Series([2**100, 1], dtype=pl.Int128),
    "small int128": pl.Series([3, 1, 2], dtype=pl.Int128),
    "uint64": pl.Series([1, 2**63 + 1, 2**64 - 1], dtype=pl.UInt64),
    "NaN": [float("nan"), 1.0, 2.0],
    "infinite": [float("inf"), 1.0],
    "many classes": list(range(40)),
}
KINDS = ["multiclass", "ordinal", "regression", "huber", "laplace", "quantile", "poisson", "negative_binomial"]
KINDS += ["lognormal", "zero_inflated_lognormal", "mixture_density", "binary"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", LABELS)
def test_every_kind_takes_a_label_or_says_why_not(kind, what, trunkline, here):
    values = pl.Series("y", LABELS[what])
    rows = GOOD.with_columns(y=pl.concat([values] * N)[:N])
    rows.write_parquet("rows.parquet")
    raw = {
        **SETTINGS,
        "data": {"train": "rows.parquet", "valid": "rows.parquet"},
        "tasks": {"y": kind},
        "features": {"price": "numeric"},
    }
    (here / "feed.yaml").write_text(yaml.safe_dump(raw))
    before = contents(here)
    found = trunkline("train", "feed.yaml", "--out", "new", "--quiet")
    if found[0] == 0:
        assert found[2] == ""
        estimates = Model.load("new", device="cpu")(rows)
        assert len(estimates) == N
        for series in estimates:
            assert series.null_count() == 0
            assert not series.dtype.is_numeric() or series.is_finite().all(), series
    else:
        check_refused(found, before, here, ["rows.parquet"])
        assert "'y'" in found[2]


COLUMNS = {
    "text": ["a", "b"],
    "numbers": [1.5, 2.5],
    "whole numbers": [1, -2],
    "int128": pl.Series([2**100, 1], dtype=pl.Int128),
    "uint64": pl.Series([2**64 - 1, 1], dtype=pl.UInt64),
    "decimals": pl.Series([1, 2], dtype=pl.Decimal(10, 2)),
    "bytes": [b"a", b"\xff"],
    "structs": [{"a": 1}, {"a": 2}],
    "durations": pl.Series([1, 2], dtype=pl.Duration("us")),
    "nulls": [None, None],
    "lists of text": [["a", "b"], []],
    "lists of numbers": [[1.0, 2.0], [3.0, 4.0]],
    "lists of whole numbers": [[1, 2], [3, 2**40]],
    "lists of int128": pl.Series([[2**100], [1]], dtype=pl.List(pl.Int128)),
    "lists of unequal lengths": [[1.0], [2.0, 3.0]],
    "lists with a null": [["a", None], ["b"]],
    "lists of numbers with NaN": [[1.0, float("nan")], [2.0, 3.0]],
    "lists of far numbers": [[1e308, -1e308], [-1e308, 1e308]],
    "lists of lists": [[["a"]], [["b"]]],
    "lists of bytes": [[b"a"], [b"b"]],
    "lists of structs": [[{"a": 1}], [{"a": 2}]],
    "empty lists": pl.Series([[], []], dtype=pl.List(pl.String)),
    "lists and nulls": [None, [1, 2]],
    "arrays": pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2)),
}
FEATURES = {
    "bag": "bag",
    "sequence": {"kind": "sequence", "length": 2},
    "vector": "vector",
    "hashed": {"kind": "hashed", "rows": 7},
}


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("what", COLUMNS)
def test_every_kind_of_feature_takes_a_column_or_says_why_not(kind, what, trunkline, here):
    rows = GOOD.with_columns(x=pl.concat([pl.Series("x", COLUMNS[what])] * (N // 2)))
    rows.write_parquet("rows.parquet")
    raw = {**SETTINGS, "data": {"train": "rows.parquet", "valid": "rows.parquet"}, "tasks": {"click": "binary"}}
    (here / "feed.yaml").write_text(yaml.safe_dump({**raw, "features": {"x": FEATURES[kind]}}))
    before = contents(here)
    found = trunkline("train", "feed.yaml", "--out", "new", "--quiet")
    if found[0] == 0:
        assert found[2] == ""
        click = Model.load("new", device="cpu")(rows)["click"]
        assert len(click) == N
        assert click.is_between(0, 1).all()
    else:
        check_refused(found, before, here, ["rows.parquet"])
        assert "'x'" in found[2]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_order_of_rows_is_kept_whatever_lies_beside(ending, run, trunkline, here):
    rows = GOOD.with_columns(number=pl.Series(np.random.default_rng(3).permutation(N)))
    rows.write_csv("rows.csv") if ending == "csv" else rows.write_parquet("rows.parquet")
    status, _, err = trunkline("predict", run, f"rows.{ending}", "-o", "out.parquet", "--keep", "number")
    assert (status, err) == (0, "")
    found = pl.read_parquet("out.parquet")
    assert found["number"].to_list() == rows["number"].to_list()
    expected = Model.load(run)(rows)
    np.testing.assert_allclose(found["click"], expected["click"], atol=1e-6)


def test_fields_that_a_row_lacks_are_missing_and_nothing_else(run, trunkline, here):
    short = LINES[5].split(",")[:2]
    (here / "rows.csv").write_text("\n".join([*LINES[:5], ",".join(short), *LINES[6:]]) + "\n")
    assert trunkline("predict", run, "rows.csv", "-o", "out.parquet", "--keep", "number")[0] == 0
    found = pl.read_parquet("out.parquet")
    assert found["number"].to_list() == GOOD["number"].to_list()
    lost = [
        pl.when(pl.col("number") == 4).then(None).otherwise(name).alias(name) for name in ("price", "returning", "time")
    ]
    np.testing.assert_allclose(found["click"], Model.load(run)(GOOD.with_columns(lost))["click"], atol=1e-6)


@pytest.mark.parametrize("ending", ["parquet", "csv", "ipc", "ndjson"])
@pytest.mark.parametrize("there", [True, False])
def test_a_bad_row_far_down_leaves_the_output_as_it_was(ending, there, run, trunkline, here, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 10)
    prices = [*map(str, GOOD["price"][:-1]), "cheap"]
    GOOD.with_columns(price=pl.Series(prices)).write_csv("rows.csv")
    if there:
        (here / f"out.{ending}").write_text("mine")
    before = contents(here)
    found = trunkline("predict", run, "rows.csv", "-o", f"out.{ending}", "--overwrite")
    check_refused(found, before, here, ["rows.csv"])
    assert f"rows.csv: column 'price' holds 'cheap' in row {N}" in found[2]


def change_while_reading(monkeypatch, change):
    """Have a file changed once its rows are read, before a command has ended."""
    chunks = Files.chunks

    def changing(files, **options):
        for chunk in chunks(files, **options):
            yield chunk
            change()

    monkeypatch.setattr(Files, "chunks", changing)


@pytest.mark.parametrize("name", ["train", "predict"])
@pytest.mark.parametrize("change", ["vanishes", "is replaced", "grows"])
def test_a_file_that_changes_while_it_is_read(name, change, run, trunkline, here, monkeypatch):
    (here / "rows.csv").write_text(CSV)
    arguments = command(name, here, run, ["rows.csv"])

    def changed():
        if change == "vanishes":
            (here / "rows.csv").unlink(missing_ok=True)
        else:
            (here / "new.csv").write_text(CSV + LINES[1] + "\n" if change == "grows" else CSV.replace("u1", "u2"))
            os.replace(here / "new.csv", here / "rows.csv")

    change_while_reading(monkeypatch, changed)
    status, out, err = trunkline(*arguments)
    assert (status, out) == (2, "")
    assert "rows.csv" in err
    assert ("changed while it was being read" in err) or ("cannot be read" in err)
    assert not (here / "new").exists()
    assert name != "predict" or (here / "out.parquet").read_text() == "mine"


@contextmanager
def as_nobody():
    """Whoever may read everything is somebody else for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder(run, monkeypatch):
    """A folder in which anybody may work, and a run there, named by its path."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(run, folder / "model" / "run")
        shutil.copy(run.parent / "valid.parquet", folder / "model")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o777)
        monkeypatch.chdir(folder)
        yield folder


@pytest.mark.parametrize("ending", ["csv", "parquet", "ndjson"])
@pytest.mark.parametrize("name", ["init", "train", "predict"])
def test_a_file_without_permission(name, ending, trunkline, open_folder):
    path = open_folder / f"rows.{ending}"
    getattr(GOOD, f"write_{ending}")(path)
    arguments = command(name, open_folder, open_folder / "model" / "run", [path.name])
    before = contents(open_folder)
    path.chmod(0)
    with as_nobody():
        found = trunkline(*arguments)
    path.chmod(0o644)
    check_refused(found, before, open_folder, [path.name])
    assert "ermission denied" in found[2]


@pytest.mark.parametrize("out", ["a_folder.parquet", "closed/out.parquet", "x" * 260 + ".parquet"])
def test_an_output_that_cannot_be_written(out, trunkline, open_folder):
    (open_folder / "a_folder.parquet").mkdir()
    (open_folder / "closed").mkdir()
    (open_folder / "closed").chmod(0o555)
    GOOD.write_parquet("rows.parquet")
    (open_folder / "rows.parquet").chmod(0o644)
    before = contents(open_folder)
    with as_nobody():
        predicted = trunkline("predict", "model/run", "rows.parquet", "-o", out, "--overwrite")
        made = trunkline("init", "rows.parquet", "--task", "click", "-o", out, "--overwrite")
    for status, printed, err in (predicted, made):
        assert (status, printed) == (2, "")
        assert err.startswith(f"error: {out}")
    assert contents(open_folder) == before


CONTENTS = {"csv": CSV.encode(), "parquet": PARQUET, "ipc": IPC, "ndjson": GOOD.write_ndjson().encode()}


@pytest.mark.parametrize("ending", CONTENTS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 40))
def test_any_damage_gives_a_right_result_or_a_message(ending, seed, count, run, trunkline, here):
    (here / f"rows.{ending}").write_bytes(damaged(CONTENTS[ending], seed, count=count))
    check_either("predict", here, run, [f"rows.{ending}"], trunkline)


FIELD = st.text(st.characters(codec="utf-8", exclude_characters='\r\n",'), max_size=12)


@pytest.mark.parametrize("name", ["train", "predict"])
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(fields=st.lists(st.one_of(FIELD, st.floats().map(str), st.integers().map(str)), min_size=8, max_size=8))
def test_any_fields_of_a_row_give_a_right_result_or_a_message(name, fields, run, trunkline, here):
    (here / "rows.csv").write_text("\n".join([*LINES[:5], ",".join(fields), *LINES[6:]]) + "\n", newline="")
    check_either(name, here, run, ["rows.csv"], trunkline)


def check_either(name, folder, run, files, trunkline):
    arguments = command(name, folder, run, files)
    before = contents(folder)
    found = trunkline(*arguments, *(["--overwrite"] if name == "train" else []))
    if found[0] == 2:
        check_refused(found, before, folder, files)
        return
    assert (found[0], found[2]) == (0, "")
    if name == "train":
        check_estimates(Model.load(folder / "new", device="cpu")(GOOD), N)
        return
    made = pl.read_parquet(folder / "out.parquet")
    check_estimates(made, len(made))
