"""Tables as people write them, beside the values that they mean."""

import contextlib
import csv
import io
import itertools
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import strategies as st

from trunkline import Config, UserError
from trunkline.assembly.tasks import build_features, build_tasks
from trunkline.cli.init import init
from trunkline.preparation.partition import open_parts
from trunkline.tables import ROW, Encoder, Labels, make_feature

MARKS = ("", "", "", "NA", "n/a", "?", "-", "NULL")
WORDS = (
    "red",
    "deep blue",
    "Ünal",
    "a,b",
    'say "x"',
    "x;y",
    "7 days",
    "it's",
    "10-4",
    "1.2.3",
    "+",
    "日本",
    "A/B",
    "5 - 6",
)
TIMES = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M", "%d/%m/%Y", "%m/%d/%Y", "%d-%b-%Y",
    "%b %d, %Y", "%Y/%m/%d", "%d.%m.%Y", "%Y%m%d",
)  # fmt: skip


@dataclass
class Column:
    """What is written, what is meant, and which kinds say so without a doubt.

    Attributes:
        name: the column's.
        cells: as they are written.
        truth: as they are meant.
        kinds: a column may be taken for; left out is always told, and allowed.
    """

    name: str
    cells: list
    truth: pl.Series
    kinds: tuple


@dataclass
class Table:
    """A table in a dialect.

    Attributes:
        columns: of it.
        separator: between fields.
        encoding: of the file.
        bom: whether it begins with a byte order mark.
        ends: of lines.
        always: whether every field is quoted.
    """

    columns: list = field(default_factory=list)
    separator: str = ","
    encoding: str = "utf-8"
    bom: bool = False
    ends: str = "\n"
    always: bool = False

    def to_bytes(self):
        """The file."""
        out = io.StringIO()
        quoting = csv.QUOTE_ALL if self.always else csv.QUOTE_MINIMAL
        writer = csv.writer(out, delimiter=self.separator, lineterminator=self.ends, quoting=quoting)
        writer.writerow([column.name for column in self.columns])
        writer.writerows(zip(*(column.cells for column in self.columns), strict=True))
        text = ("\ufeff" if self.bom else "") + out.getvalue()
        return text.encode(self.encoding)


def numbers(draw, rng, rows, name):
    decimal = draw(st.sampled_from("..,")) if draw(st.booleans()) else "."
    thousands = draw(st.sampled_from([sign for sign in ("", "", ",", ".", " ", "'", "\u00a0") if sign != decimal]))
    before, behind = draw(
        st.sampled_from([("", ""), ("", ""), ("$", ""), ("€ ", ""), ("", " €"), ("", "%"), ("", " kg")])
    )
    digits = draw(st.integers(0, 4))
    values = np.round(rng.normal(size=rows) * 10.0 ** draw(st.integers(0, 6)), digits) + 0.0
    if draw(st.booleans()):
        values = np.abs(values)
    bracketed, blank = draw(st.booleans()) and bool(before or behind), draw(st.sampled_from(["", "", " ", "  "]))

    def written(value):
        text = f"{abs(value):,.{digits}f}".replace(",", "\0").replace(".", decimal).replace("\0", thousands)
        text = f"{before}{text}{behind}"
        minus = value < 0
        return blank + (f"({text})" if minus and bracketed else f"-{text}" if minus else text) + blank

    return [written(value) for value in values], pl.Series(name, values), ("numeric",)


def times(draw, rng, rows, name):
    form = draw(st.sampled_from(TIMES))
    spread = draw(st.sampled_from([40, 400, 9_000]))
    moments = [datetime(2005, 1, 1) + timedelta(seconds=int(s)) for s in rng.integers(0, spread * 86_400, rows)]
    texts = [moment.strftime(form) for moment in moments]
    truth = [datetime.strptime(text, form) for text in texts]
    return texts, pl.Series(name, truth, dtype=pl.Datetime("ms")), ("datetime",)


def epochs(draw, rng, rows, name):
    per = draw(st.sampled_from([1, 10**3, 10**6]))
    moments = rng.integers(1_000_000_000, 1_900_000_000, rows)
    texts = [str(int(s) * per) for s in moments]
    truth = pl.Series(
        f"{name}_at", [datetime(1970, 1, 1) + timedelta(seconds=int(s)) for s in moments], dtype=pl.Datetime("ms")
    )
    return texts, truth, ("datetime",)


def codes(draw, rng, rows, name):
    form = draw(st.sampled_from(["{:03d}", "{:05d}", "1{:019d}", "{:024d}", "u{}", "0x{:x}", "{}-{}"]))
    values = [form.format(int(v), int(v) % 3) for v in rng.integers(0, draw(st.integers(2, 40)), rows)]
    return values, pl.Series(name, values, dtype=pl.String), ("categorical",)


def ids(draw, rng, rows, name):
    values = rng.integers(0, 2 ** draw(st.sampled_from([4, 20, 40, 62])), max(2, rows // 3))
    chosen = [str(v) for v in rng.choice(values, rows)]
    return chosen, pl.Series(f"{name}_id", chosen), ("categorical",)


def words(draw, rng, rows, name):
    some = draw(st.lists(st.sampled_from(WORDS), min_size=2, max_size=6, unique=True))
    values = [some[i] for i in rng.integers(0, len(some), rows)]
    return values, pl.Series(name, values), ("categorical", "bag")


def truths(draw, rng, rows, name):
    no, yes = draw(
        st.sampled_from([("false", "true"), ("False", "True"), ("FALSE", "TRUE"), ("no", "yes"), ("N", "Y")])
    )
    values = rng.random(rows) < 0.4
    return [yes if v else no for v in values], pl.Series(name, values), ("boolean", "categorical")


def lists(draw, rng, rows, name):
    separator = draw(st.sampled_from(["|", ";", "json"]))
    tags = [["alpha", "beta", "gamma", "delta", "eps"][: 2 + i % 4] for i in range(rows)]
    chosen = [[str(t) for t in rng.permutation(one)[: rng.integers(1, len(one) + 1)]] for one in tags]
    texts = [json.dumps(one) if separator == "json" else separator.join(one) for one in chosen]
    return texts, pl.Series(name, chosen, dtype=pl.List(pl.String)), ("bag",)


SORTS = {f.__name__: f for f in (numbers, times, epochs, codes, ids, words, truths, lists)}


@st.composite
def messy_tables(draw, *, rows=(50, 140)):
    """A table of one to four columns and a label `y`."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(*rows))
    made = []
    for i in range(draw(st.integers(1, 4))):
        cells, truth, kinds = SORTS[draw(st.sampled_from(list(SORTS)))](draw, rng, n, f"c{i}")
        holes = rng.random(n) < draw(st.sampled_from([0.0, 0.0, 0.1, 0.5]))
        mark = draw(st.sampled_from(MARKS))
        if holes.any():
            cells = [mark if hole else cell for cell, hole in zip(cells, holes, strict=True)]
            truth = (
                truth.set(pl.Series(holes), None)
                if truth.dtype != pl.List
                else pl.Series(
                    truth.name,
                    [None if hole else v for v, hole in zip(truth.to_list(), holes, strict=True)],
                    dtype=truth.dtype,
                )
            )
        made.append(Column(truth.name, cells, truth, kinds))
    label = (rng.random(n) < 0.5).astype(int)
    label[:2] = [0, 1]
    no, yes = draw(
        st.sampled_from([("0", "1"), ("no", "yes"), ("false", "true"), ("N", "Y"), ("lost", "won"), ("0.0", "1.0")])
    )
    shown = [(no, yes)[v] for v in label]
    hidden = rng.random(n) < draw(st.sampled_from([0.0, 0.2]))
    hidden[:2] = False
    mark = draw(st.sampled_from(["", "NA", "?", "null"]))
    shown = [mark if h else v for v, h in zip(shown, hidden, strict=True)]
    made.append(Column("y", shown, pl.Series("y", label.astype(float)).set(pl.Series(hidden), None), ("binary",)))
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "cp1252"]))
    table = Table(
        columns=made,
        separator=draw(st.sampled_from(",;\t|")),
        encoding=encoding,
        bom=encoding == "utf-8" and draw(st.booleans()),
        ends=draw(st.sampled_from(["\n", "\r\n"])),
        always=draw(st.booleans()),
    )
    if encoding == "cp1252":
        try:
            table.to_bytes()
        except UnicodeEncodeError:
            table.encoding = "utf-8"
    return table


def said_by_init(table, folder):
    """What `init` prints as JSON, and the config that it writes."""
    (folder / "rows.csv").write_bytes(table.to_bytes())
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        init(
            [str(folder / "rows.csv")],
            ["y"],
            out=folder / "made.yaml",
            encoding=table.encoding if table.encoding == "cp1252" else None,
            as_json=True,
            overwrite=True,
        )
    return json.loads(told.getvalue()), Config.make(folder / "made.yaml")


def check_same_meaning(table, folder):
    """Hold what `train` reads, by the config that `init` wrote, against the values that the table was made of."""
    try:
        told, config = said_by_init(table, folder)
    except UserError as error:
        if error.problems[0].endswith("no column beside the labels can be a feature"):
            return
        raise
    tasks, features = build_tasks(config), build_features(config) or []
    frame = open_parts(config.data, {}, features=features)["train"].table.read()
    assert frame.drop(ROW).columns == [column.name for column in table.columns]
    sheets = {sheet["column"]: sheet for sheet in told["columns"]}
    for column in table.columns[:-1]:
        sheet = sheets[column.name]
        if sheet["kind"] is None:
            assert sheet["why"]
            continue
        (feature,) = [one for one in features if one.name == column.name]
        doubtful = len(sheet["choices"]) > 1
        if sheet["kind"] not in column.kinds:
            assert doubtful, (sheet, column.cells[:6])
            continue
        # The same kind on the values themselves, which have types: no format, no unit, no separator.
        own = {k: v for k, v in sheet["options"].items() if k not in ("format", "unit", "separator", "zone")}
        meant = make_feature(name=column.name, kind=sheet["kind"], **own)
        truth = column.truth
        if sheet["kind"] == "categorical" and truth.dtype != pl.String:
            truth = truth.cast(pl.String)
        if sheet["kind"] == "bag" and truth.dtype == pl.String:
            continue
        read = encoded(feature, frame[column.name])
        right = encoded(meant, truth)
        if not same(read, right):
            assert doubtful, (sheet, column.cells[:6], read[:6], right[:6])
    labels = Labels.fit(tasks, frame)
    found = labels.encode(frame)["y"].numpy()
    truth = table.columns[-1].truth.fill_null(float("nan")).to_numpy()
    section = told["tasks"]["y"]
    if section["remarks"] and any("rarer" in remark for remark in section["remarks"]):
        known = ~np.isnan(truth)
        if found[known][0] != truth[known][0]:
            truth = 1 - truth
    np.testing.assert_array_equal(found, truth)


def encoded(feature, series):
    """What the network gets of one column."""
    frame = series.to_frame()
    rows = Encoder.fit([feature], frame).encode(frame)
    parts = [rows.ids.numpy().astype(np.float64), rows.numbers.numpy().astype(np.float64)]
    for values, offsets in rows.lists:
        # Each combination of ids is a number of its own.
        lists = [tuple(values[a:b].tolist()) for a, b in itertools.pairwise(offsets.tolist())]
        known = {one: i for i, one in enumerate(dict.fromkeys(lists))}
        parts.append(np.array([[float(known[one])] for one in lists]))
    return np.concatenate([part for part in parts if part.size], axis=1)


def same(one, other):
    """Whether two encodings say the same: numbers alike, ids alike but for their order."""
    if one.shape != other.shape:
        return False
    for a, b in zip(one.T, other.T, strict=True):
        whole = (a == np.floor(a)).all() and (b == np.floor(b)).all()
        if whole and len({*zip(a, b, strict=True)}) == len({*a}) == len({*b}):
            continue
        if not np.allclose(a, b, rtol=1e-5, atol=1e-5):
            return False
    return True
