"""Whatever is read gives a result or a `UserError`, in bounded time.

`FUZZ_SECONDS=300 pytest tests/reliability/test_fuzz.py` (`make fuzz`) looks for so long at each of the readers,
with seeds of its own; without that variable the examples are few and always the same.
"""

import copy
import json
import os
import shutil
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from messy_tables import check_same_meaning, messy_tables
from small_run import CONFIG, make_small_run, small_rows

from trunkline import Config, Model, UserError
from trunkline.assembly.tasks import build_tasks
from trunkline.cli.init_tasks import find_tasks
from trunkline.config.yaml_file import MOST
from trunkline.runs.artifacts import read_fitted
from trunkline.tables import Encoder, Labels, infer
from trunkline.tables.dialect import Dialect
from trunkline.tables.doctor import propose
from trunkline.tables.rows import BadValue
from trunkline.tables.source import Files
from trunkline.tables.time_format import TimeFormat, recognise_times

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
LONGEST = 20
"""Seconds that one example may take."""


def fuzz(strategy, *, examples):
    """A test of a function of one drawn value: so many fixed examples, or random ones for `FUZZ_SECONDS`."""

    def wrap(look):
        def look_in_time(value):
            with in_time():
                look(value)

        def run(number, fixed):
            checked = settings(
                max_examples=examples if fixed else 200,
                derandomize=fixed,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            )(given(strategy)(look_in_time))
            (checked if fixed else seed(number)(checked))()

        def test():
            if not SECONDS:
                run(0, fixed=True)
                return
            end, number = time.monotonic() + SECONDS, time.time_ns()
            while time.monotonic() < end:
                print(f"seed {number}")
                run(number, fixed=False)
                number += 1

        test.__name__, test.__doc__ = look.__name__, look.__doc__
        return test

    return wrap


@contextmanager
def in_time():
    def late(*_):
        raise TimeoutError(f"an example took more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def spliced(text, other, cut, back, place):
    """Text with a piece of another text in place of a piece of it."""
    start = int(place * len(text))
    return text[:start] + other + text[start + cut + back :]


NAMES = st.sampled_from(
    [
        *("kind", "tasks", "features", "network", "data", "balance", "optimizer", "training", "sharing", "hidden"),
        *("click", "lr", "epochs", "objective", "gradients", "split", "by", "reads", "where", "label", "select"),
        *("trackers", "towers", "subnets", "schedule", "dropout", "columns", "labels", "ids", "values", "dtype"),
        *("experts", "calibrate", "space", "numbers", "interaction", "embedding", "sparse_above", "tune", "name"),
    ]
)
WORDS = st.sampled_from(
    [
        *("binary", "regression", "multiclass", "ordinal", "mmoe", "ple", "pcgrad", "uncertainty", "auto", "none"),
        *("adamw", "tensorboard", "mlflow", "warmup_cosine", "random", "piecewise", "String", "Int64", "sum", "mean"),
        *("click", "famo", "quantile", "temperature", "star", "pepnet", "dcn_v2", "numeric", "categorical", "bag"),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, -(2**63), 10**400])
    | st.floats()
    | st.text(max_size=8)
    | WORDS
    | NAMES
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | WORDS, inner, max_size=4),
    max_leaves=12,
)
ODD = st.dictionaries(
    st.none() | st.integers() | st.booleans() | st.tuples(st.integers()) | st.text(max_size=3), VALUES
)


def places(value, path=()):
    """Every place in nested values."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from places(inner, (*path, i))


@st.composite
def changed(draw, base, values=VALUES):
    """A copy of nested values with one to three places changed."""
    made = copy.deepcopy(base)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(made))))
        if not path:
            continue
        inside = made
        for part in path[:-1]:
            inside = inside[part]
        match draw(st.sampled_from(["value", "value", "drop", "rename", "twice"])):
            case "value":
                inside[path[-1]] = draw(values)
            case "drop":
                del inside[path[-1]]
            case "rename" if isinstance(inside, dict):
                inside[draw(NAMES | WORDS)] = inside.pop(path[-1])
            case "twice" if isinstance(inside, list):
                inside.append(copy.deepcopy(inside[path[-1]]))
    return made


FULL = Config.make(CONFIG | {"data": {"train": "a.csv", "split": {"by": "random"}}}).model_dump(mode="json")
YAML = yaml.safe_dump(FULL, sort_keys=False)
SNIPPETS = st.sampled_from(
    [
        *(
            "&a ",
            "*a",
            "<<: *a",
            "!!python/name:os.system",
            "!!binary ",
            "!!set ",
            "? ",
            ": ",
            "- ",
            "[",
            "{",
            "}",
            "]",
        ),
        *("|", ">", "%YAML 1.1\n", "---\n", "...\n", "'", '"', "\\x00", "\t", "\n", "#", "2024-99-01", "1e999", ".nan"),
        *(
            "!!timestamp x",
            "!!int x",
            "!!float x",
            "!!bool x",
            "!!null x",
            "0x",
            "0b",
            "1:99:99",
            "=",
            "~",
            "!!merge x",
        ),
    ]
)
FOREIGN = SNIPPETS | st.text(max_size=12) | VALUES.map(lambda value: yaml.safe_dump(value)[:200])
TEXTS = st.one_of(
    st.builds(
        spliced, st.just(YAML), FOREIGN, st.integers(0, 30), st.sampled_from([0, 0, 0, 100]), st.floats(0, 0.999)
    ).map(str.encode),
    st.lists(SNIPPETS | NAMES | WORDS | st.text(max_size=3), max_size=30).map(lambda parts: "".join(parts).encode()),
    st.binary(max_size=60),
    changed(FULL).map(lambda value: yaml.safe_dump(value).encode("utf-8", "surrogatepass")),
)
MAPPINGS = changed(FULL) | st.dictionaries(NAMES, VALUES, max_size=5) | ODD


@contextmanager
def or_refused():
    """A refusal is an answer, if it says something and not without end."""
    try:
        yield
    except UserError as error:
        said = all(error.problems) and 0 < len(str(error)) < 200_000
    else:
        said = True
    assert said


def make_config(source):
    with or_refused():
        config = Config.make(source)
        assert Config.make(yaml.safe_load(config.to_yaml())) == config
        build_tasks(config)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def test_any_yaml_is_a_config_or_refused(place):
    @fuzz(TEXTS, examples=250)
    def look(content):
        (place / "config.yaml").write_bytes(content[:MOST])
        make_config(place / "config.yaml")

    look()


def test_any_mapping_is_a_config_or_refused():
    @fuzz(MAPPINGS, examples=250)
    def look(mapping):
        make_config(mapping)

    look()


TYPES = [
    *(pl.Int8, pl.Int64, pl.UInt64, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Date, pl.Time, pl.Duration),
    *(pl.Datetime("us"), pl.Datetime("ns"), pl.Categorical, pl.Binary, pl.Null, pl.Enum(["a", "b"]), pl.Decimal(10, 2)),
    *(pl.List(pl.Int64), pl.List(pl.String), pl.List(pl.Float64), pl.Array(pl.Float64, 2), pl.Struct({"a": pl.Int64})),
    *(pl.List(pl.List(pl.Int64)), pl.Int128, pl.List(pl.Null), pl.Array(pl.String, 0)),
]


@st.composite
def frames(draw):
    from polars.testing.parametric import series

    rows = draw(st.integers(0, 6))
    names = draw(st.lists(st.sampled_from(["id", "a", "label", "user_id", "", " ", "é", "a.b", "x" * 50]), unique=True))
    columns = [
        draw(series(name=name, dtype=draw(st.sampled_from(TYPES)), min_size=rows, max_size=rows, allow_null=True))
        for name in names
    ]
    return pl.DataFrame(columns)


def test_any_frame_has_its_features_or_is_refused():
    @fuzz(frames(), examples=200)
    def look(frame):
        for label in frame.columns[:2]:
            with or_refused():
                find_tasks([label], frame)
        features = infer(frame, leave_out=frame.columns[:1])
        assert {feature.name for feature in features} <= set(frame.columns[1:])
        with or_refused():
            Encoder.fit(features, frame).encode(frame)

    look()


@pytest.fixture(scope="module")
def trained(place):
    return make_small_run(place)


ROWS = small_rows(12)
JSONS = VALUES.filter(lambda value: value == value)


def as_json(value):
    return json.dumps(value).encode()


def test_any_encoder_is_read_or_refused(trained, place):
    text = (trained / "encoder.json").read_text()
    plain = json.loads(text)
    for column in plain["columns"]:
        if "quantiles" in column:
            column["quantiles"] = column["quantiles"][::32]
    contents = st.one_of(
        changed(plain).map(as_json),
        st.builds(
            spliced,
            st.just(text),
            st.text(max_size=6) | VALUES.map(json.dumps),
            st.integers(0, 9),
            st.just(0),
            st.floats(0, 0.999),
        ).map(lambda text: text.encode("utf-8", "surrogatepass")),
        VALUES.map(as_json),
        st.binary(max_size=40),
    )
    tasks = build_tasks(Config.make(trained / "config.yaml"))

    @fuzz(contents, examples=300)
    def look(content):
        (place / "encoder.json").write_bytes(content)
        with or_refused():
            encoder, labels = read_fitted(place / "encoder.json", tasks)
            if sum(encoder.rows) < 10**6:
                encoder.encode(ROWS)
                labels.encode(ROWS)
            assert Encoder.from_json(encoder.to_json()).to_json() == encoder.to_json()

    look()


@st.composite
def damages(draw, names):
    """Some bytes of some files: flipped, cut off, spliced in from another file, or made of nothing."""
    return [
        (
            draw(st.sampled_from(names)),
            draw(st.sampled_from(["flip", "flip", "cut", "splice", "zeros", "text", "remove"])),
            draw(st.floats(0, 0.9999)),
            draw(st.binary(min_size=1, max_size=8)),
            draw(st.sampled_from(names)),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


def damage(content, how, at, piece, other):
    start = int(at * len(content))
    match how:
        case "flip":
            flipped = bytes(a ^ b for a, b in zip(content[start : start + len(piece)], piece, strict=False))
            return content[:start] + flipped + content[start + len(flipped) :]
        case "cut":
            return content[:start]
        case "splice":
            return content[:start] + other[start : start + 64] + content[start + 64 :]
        case "zeros":
            return content[:start] + bytes(len(piece)) + content[start + len(piece) :]
        case "text":
            digits = b"".join(b"%d" % byte for byte in piece)
            return content[:start] + digits + content[start + len(digits) :]


def test_any_run_folder_is_loaded_or_refused(trained, place):
    names = ["config.yaml", "encoder.json", "model.safetensors", "calibration.json", "metrics.json"]
    whole = {name: (trained / name).read_bytes() for name in names}
    folder = place / "mutated"

    @fuzz(damages([*names, "model.safetensors header"]), examples=250)
    def look(made):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        now = dict(whole)
        for name, how, at, piece, other in made:
            name, _, part = name.partition(" ")
            if part:  # most of the file is numbers, any of which will do
                at = at * 5000 / max(len(now.get(name, b"")), 5000)
            if how == "remove":
                now.pop(name, None)
            elif name in now:
                now[name] = damage(now[name], how, at, piece, whole[other.partition(" ")[0]])
        for name, content in now.items():
            Path(folder / name).write_bytes(content)
        before = torch.get_rng_state()
        with or_refused():
            model = Model.load(folder, device="cpu")
            made = model(ROWS)
            assert len(made) == len(ROWS)
            assert np.isfinite(made["dwell"].to_numpy()).all()
            _ = model.metrics
        assert torch.get_rng_state().equal(before)

    look()


def test_what_init_says_of_a_table_is_what_train_reads(place):
    """Dialects, numbers, times, ids, lists, labels and marks: what was meant is what is encoded, or a doubt is told."""

    @fuzz(messy_tables(), examples=40)
    def look(table):
        check_same_meaning(table, place)

    look()


SIGNS = st.sampled_from([",", ";", "\t", "|", " ", ":", "'", '"', "a", "é", "\0"])
ENCODINGS = st.sampled_from(
    [None, None, "utf-8", "utf-16", "utf-16-le", "latin-1", "cp1252", "cp037", "utf-7", "base64"]
)
PIECES = st.sampled_from(
    [
        b",",
        b";",
        b"\t",
        b'"',
        b'""',
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xe9",
        b"a",
        b"007",
        b"1,5",
    ]
)


def test_any_bytes_are_a_csv_or_refused(place):
    bytes_of = st.one_of(
        st.tuples(messy_tables(rows=(2, 6)), damages(["rows"])).map(
            lambda drawn: damaged(drawn[0].to_bytes(), drawn[1])
        ),
        st.lists(PIECES, max_size=40).map(b"".join),
        st.binary(max_size=80),
    )

    @fuzz(st.tuples(bytes_of, SIGNS, st.sampled_from("\"'|,"), ENCODINGS), examples=150)
    def look(drawn):
        content, separator, quote, encoding = drawn
        (place / "any.csv").write_bytes(content)
        with or_refused():
            dialect = Dialect(separator=None if separator == "a" else separator, quote=quote, encoding=encoding)
            frame = Files(place / "any.csv", dialect=dialect).read()
            Encoder.fit(infer(frame), frame).encode(frame)

    look()


def damaged(content, made):
    for _, how, at, piece, _ in made:
        content = content if how == "remove" else damage(content, how, at, piece, content)
    return content


CELLS = st.sampled_from(
    [*("0", "1", "yes", "No", "TRUE", "NA", "?", "-1", "-", "null", "1.0", "2", "3.5", "a", "b", "", " ", "nan", "inf")]
)


def test_any_labels_are_a_task_or_refused():
    """What is proposed for a label can be fitted to it; a value that is no mark is observed, and a mark is not."""

    @fuzz(st.lists(CELLS | st.none() | st.text(max_size=3), min_size=1, max_size=12), examples=250)
    def look(cells):
        frame = pl.DataFrame({"y": pl.Series(cells, dtype=pl.String), "x": range(len(cells))})
        with or_refused():
            (found,) = find_tasks(["y"], frame).values()
            options = propose(frame["y"]).options
            assert {key: found.section[key] for key in options} == options
            fitted = Labels.fit([found.task], frame)
            observed = ~np.isnan(fitted.encode(frame)["y"].numpy().reshape(len(cells), -1)[:, 0].astype(float))
            marks = {str(word).lower() for word in options.get("missing", [])}
            meant = [cell is not None and cell.strip().lower() not in {"", *marks} for cell in cells]
            if found.kind == "binary":
                assert observed.tolist() == meant

    look()


WRITTEN = st.one_of(
    st.datetimes().map(str),
    st.builds(
        lambda moment, form: moment.strftime(form),
        st.datetimes(),
        st.sampled_from(
            ["%d/%m/%Y", "%m/%d/%y", "%d.%m.%Y %H:%M", "%b %d, %Y", "%Y%m%d", "%Y-%m-%dT%H:%M:%S+02:00", "%H:%M"]
        ),
    ),
    CELLS,
    st.text(max_size=12),
    st.integers(-(10**19), 10**19).map(str),
)


def test_any_text_is_times_or_refused():
    """A format that is found reads every cell that has a value, or the one that it does not read is named."""
    options = st.fixed_dictionaries(
        {},
        optional={
            "unit": st.sampled_from(["s", "ms", "us", "ns", "h"]),
            "format": st.sampled_from(["iso", "%d/%m/%Y", "%Y", "%H", "%", "%Q", "%d %"]) | st.text(max_size=5),
            "zone": st.sampled_from(["Europe/Berlin", "UTC", "Mars", "", "../etc"]),
            "missing": st.sampled_from([("NA",), ("-", "?"), ()]),
        },
    )

    @fuzz(st.tuples(st.lists(WRITTEN | st.none(), max_size=8), options), examples=80)
    def look(drawn):
        cells, given = drawn
        text = pl.Series("t", cells, dtype=pl.String)
        with or_refused():
            try:
                moments = TimeFormat(**given).parse(text)
            except BadValue as error:
                raise error.in_table(text.to_frame()) from None
            assert moments.dtype == pl.Datetime("ms")
            none = ["", *(word.lower() for word in given.get("missing", ()))]
            known = [cell is not None and cell.strip().lower() not in none for cell in cells]
            assert moments.is_not_null().to_list() == known
        found = recognise_times(text)
        assert found is None or 0 < found.share <= 1

    look()


def test_an_example_that_goes_wrong_is_found():
    """The harness sees an exception, and an example that does not end."""

    @fuzz(st.integers(0, 5), examples=20)
    def look(value):
        if value == 3:
            raise KeyError(value)

    with pytest.raises(KeyError):
        look()
