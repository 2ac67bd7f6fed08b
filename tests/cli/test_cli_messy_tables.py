"""Tables as people bring them: what `init` reads, `train` and `predict` read too, and it is what was meant."""

import io
import json
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from trunkline.tables.splits import Split, cut

N = 600
SETS = ("training.epochs=2", "training.device=cpu", "network.sharing.hidden=[8]", "network.towers.hidden=[4]")


@pytest.fixture
def rows():
    draw = np.random.default_rng(3)
    x = draw.normal(size=N).round(3)
    group = draw.integers(0, 4, N)
    y = (draw.random(N) < 1 / (1 + np.exp(-2 * x))).astype(int)
    return {"x": x, "group": group, "y": y, "amount": np.exp(7 + x).round(2)}


def csv(path, columns, separator=","):
    lines = [separator.join(columns), *(separator.join(row) for row in zip(*columns.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def made(trunkline, *arguments):
    status, out, err = trunkline("init", *arguments, "-o", "made.yaml", "--overwrite")
    assert (status, err) == (0, ""), err
    return yaml.safe_load(Path("made.yaml").read_text(encoding="utf-8")), out


def trained(trunkline, name="run"):
    sets = [word for one in SETS for word in ("--set", one)]
    status, _, err = trunkline("train", "made.yaml", "--quiet", "--overwrite", "--out", name, *sets)
    assert (status, err) == (0, ""), err
    return json.loads(Path(f"{name}/metrics.json").read_text())["valid"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


WRITTEN = {
    "decimal comma": (lambda v: f"{v:.2f}".replace(".", ","), ";", {"decimal": ","}),
    "money": (lambda v: f'"${v:,.2f}"', ",", {"thousands": ",", "strip": "$"}),
    "euros": (
        lambda v: f"{v:,.2f} €".translate(str.maketrans(",.", ".,")),
        ";",
        {"decimal": ",", "thousands": ".", "strip": "€"},
    ),
    "percent": (lambda v: f"{v:.2f}%", ",", {"strip": "%"}),
    "blanks": (lambda v: f"  {v:.2f} ", ",", None),
    "spaces between thousands": (lambda v: f"{v:,.2f}".replace(",", "\u00a0"), ",", {"thousands": " "}),
    "apostrophes": (lambda v: f"{v:,.2f}".replace(",", "'"), ",", {"thousands": "'"}),
}


@pytest.mark.parametrize("how", WRITTEN)
def test_numbers_written_for_people_train_as_the_numbers_that_they_are(how, rows, here, trunkline):
    write, separator, form = WRITTEN[how]
    label = [str(v) for v in rows["y"]]
    csv(here / "plain.csv", {"x": [f"{v:.2f}" for v in rows["amount"]], "y": label})
    raw, _ = made(trunkline, "plain.csv", "--task", "y")
    assert raw["features"] == {"x": {"kind": "numeric"}}
    plain = trained(trunkline, "plain")
    csv(here / "rows.csv", {"x": [write(v) for v in rows["amount"]], "y": label}, separator)
    raw, out = made(trunkline, "rows.csv", "--task", "y")
    assert raw["features"] == {"x": {"kind": "numeric"} | ({"format": form} if form else {})}
    assert raw["data"].get("separator", ",") == separator
    assert ("separated by ';'" in out) == (separator == ";")
    assert trained(trunkline)["y"] == pytest.approx(plain["y"], abs=1e-6)
    for run, table in (("run", "rows.csv"), ("plain", "plain.csv")):
        assert trunkline("predict", run, table, "-o", f"{run}.parquet")[0] == 0
    one, other = pl.read_parquet("run.parquet"), pl.read_parquet("plain.parquet")
    np.testing.assert_allclose(one["y"], other["y"], atol=1e-6)


def test_labels_in_any_script_are_tasks_everywhere(rows, here, trunkline):
    x = [f"{v:.3f}" for v in rows["x"]]
    labels = ["отток", "сумма", "Gekündigt", "売上", "बिक्री", "Loss %", "Loss $"]
    csv(
        here / "rows.csv", {"x": x, **{name: [f"{v + i:.3f}" for v in rows["amount"]] for i, name in enumerate(labels)}}
    )
    raw, out = made(trunkline, "rows.csv", *(word for name in labels for word in ("--task", name)))
    tasks = [*labels[:5], "Loss", "Loss_2"]
    assert [*raw["tasks"]] == tasks
    assert [section.get("label", name) for name, section in raw["tasks"].items()] == labels
    assert "named as tasks can be: Loss ('Loss %'), Loss_2 ('Loss $')" in out
    assert {*trained(trunkline)} == {*tasks}
    assert trunkline("predict", "run", "rows.csv", "-o", "estimates.csv")[0] == 0
    assert {*tasks} <= {*pl.read_csv("estimates.csv").columns}
    status, out, _ = trunkline("evaluate", "run", "rows.csv", "--json")
    assert status == 0
    assert all(name in json.dumps(json.loads(out), ensure_ascii=False) for name in tasks)
    assert trunkline("report", "run", "-o", "page.html")[0] == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert all(name in page for name in tasks)


@pytest.mark.parametrize("separator", [";", ","])
def test_dots_between_thousands_in_a_feature_and_a_label(separator, rows, here, trunkline):
    numbers = {"sold": rows["amount"].astype(int), "visits": (rows["amount"] * 1.7).astype(int)}
    csv(here / "plain.csv", {name: [str(v) for v in values] for name, values in numbers.items()})
    csv(
        here / "rows.csv",
        {name: [f"{v:,}".replace(",", ".") for v in values] for name, values in numbers.items()},
        separator,
    )
    made(trunkline, "plain.csv", "--task", "visits:regression")
    plain = trained(trunkline, "plain")
    raw, out = made(trunkline, "rows.csv", "--task", "visits:regression")
    assert "visits: its numbers could be read otherwise" in out or raw["tasks"]["visits"].get("format")
    if separator == ",":
        assert "to decide: sold" in out
        raw["features"]["sold"]["format"] = raw["tasks"]["visits"]["format"] = {"decimal": ",", "thousands": "."}
        Path("made.yaml").write_text(yaml.safe_dump(raw))
    assert trained(trunkline) == plain
    for run, table in (("plain", "plain.csv"), ("run", "rows.csv")):
        assert trunkline("predict", run, table, "-o", f"{run}.estimates.csv")[0] == 0
        assert trunkline("evaluate", run, table)[0] == 0
    assert pl.read_csv("plain.estimates.csv").equals(pl.read_csv("run.estimates.csv"))


def test_a_cell_that_is_no_number_is_named_with_the_format(rows, here, trunkline):
    cells = [f'"${v:,.2f}"' for v in rows["amount"]]
    csv(here / "rows.csv", {"x": cells, "y": [str(v) for v in rows["y"]]})
    made(trunkline, "rows.csv", "--task", "y")
    trained(trunkline)
    cells[7] = "many"
    csv(here / "later.csv", {"x": cells})
    status, _, err = trunkline("predict", "run", "later.csv", "-o", "out.parquet")
    assert status == 2
    assert "column 'x' holds 'many' in row 8; its numbers are written so: thousands: ',', strip: '$'" in err


@pytest.mark.parametrize(
    ("cells", "section"),
    [
        (lambda y: ["Yes" if v else "No" for v in y], {"kind": "binary", "positive": "Yes", "negative": "No"}),
        (lambda y: ["oui" if v else "non" for v in y], {"kind": "binary", "positive": "oui", "negative": "non"}),
        (lambda y: ["TRUE" if v else "FALSE" for v in y], {"kind": "binary"}),
        (lambda y: ["NA" if i % 5 == 0 else str(v) for i, v in enumerate(y)], {"kind": "binary", "missing": ["NA"]}),
        (lambda y: ["?" if i % 5 == 0 else str(v) for i, v in enumerate(y)], {"kind": "binary", "missing": ["?"]}),
        (lambda y: ["-1" if i % 5 == 0 else str(v) for i, v in enumerate(y)], {"kind": "binary", "missing": ["-1"]}),
        (lambda y: [f"{v:.1f}" for v in y], {"kind": "binary"}),
        (lambda y: [str(v + 1) for v in y], {"kind": "binary", "positive": "2", "negative": "1"}),
    ],
)
def test_labels_written_for_people(cells, section, rows, here, trunkline):
    csv(here / "rows.csv", {"x": [f"{v:.3f}" for v in rows["x"]], "y": cells(rows["y"])})
    raw, out = made(trunkline, "rows.csv", "--task", "y")
    assert raw["tasks"] == {"y": section}
    assert "y is binary (" in out
    for mark in section.get("missing", []):
        assert f"{mark} is read as missing" in out or f"read as missing: '{mark}'" in out
    assert trained(trunkline)["y"]["auc"] > 0.7


def test_kinds_of_labels_that_are_numbers(rows, here, trunkline):
    draw = np.random.default_rng(0)
    spent = np.where(draw.random(N) < 0.05, rows["amount"], 0.0)
    labels = {
        "visits": draw.poisson(np.exp(0.5 * rows["x"])),
        "spent": spent,
        "seconds": rows["amount"],
        "stars": draw.integers(1, 6, N),
        "share": draw.beta(2, 3, N),
        "degrees": draw.normal(size=N),
        "orders": draw.negative_binomial(0.6, 0.2, N),
    }
    pl.DataFrame({"x": rows["x"], **labels}).write_parquet("rows.parquet")
    raw, _ = made(trunkline, "rows.parquet", *(word for name in labels for word in ("--task", name)))
    assert {name: task["kind"] for name, task in raw["tasks"].items()} == {
        "visits": "poisson",
        "spent": "zero_inflated_lognormal",
        "seconds": "lognormal",
        "stars": "ordinal",
        "share": "regression",
        "degrees": "regression",
        "orders": "negative_binomial",
    }


@pytest.mark.parametrize("separator", [";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_dialects(separator, encoding, rows, here, trunkline):
    columns = {
        "x": [f"{v:.3f}" for v in rows["x"]],
        'the ""größte"" one': [f"ä{v}" for v in rows["group"]],
        "y": [str(v) for v in rows["y"]],
    }
    lines = [separator.join(['"' + name + '"' for name in columns])]
    lines += [separator.join(row) for row in zip(*columns.values(), strict=True)]
    (here / "rows.csv").write_bytes(("\n".join(lines) + "\n").encode(encoding))
    named = ("--encoding", "cp1252") if encoding == "cp1252" else ()
    raw, _ = made(trunkline, "rows.csv", "--task", "y", *named)
    assert list(raw["features"]) == ["x", 'the "größte" one']
    assert raw["data"]["separator"] == separator
    assert trained(trunkline)["y"]["auc"] > 0.7
    assert trunkline("predict", "run", "rows.csv", "-o", "out.parquet")[0] == 0
    if encoding == "cp1252":
        status, _, err = trunkline("init", "rows.csv", "--task", "y", "-o", "other.yaml")
        assert status == 2
        assert "name its encoding (--encoding latin-1, or data.encoding: latin-1 in a config)" in err


@pytest.mark.parametrize(("unit", "per"), [("s", 1), ("ms", 1000)])
def test_times_that_are_whole_numbers(unit, per, rows, here, trunkline):
    moments = 1_650_000_000 + np.random.default_rng(0).integers(0, 86_400 * 30, N)
    columns = {
        "time": [str(v * per) for v in moments],
        "x": [f"{v:.3f}" for v in rows["x"]],
        "y": [str(v) for v in rows["y"]],
    }
    csv(here / "rows.csv", columns)
    raw, _ = made(trunkline, "rows.csv", "--task", "y")
    assert raw["features"]["time"] == {"kind": "datetime", "unit": unit}
    assert raw["data"]["split"] == {"by": "time", "column": "time", "unit": unit, "valid": 0.1, "test": 0.1}
    trained(trunkline)
    kept = yaml.safe_load((here / "run" / "config.yaml").read_text())["data"]["split"]["result"]
    assert kept["test_from"].startswith("2022-05")


def test_days_and_months_are_asked_for_and_never_guessed(rows, here, trunkline):
    days = [f"{1 + i % 12:02}/{1 + i % 7:02}/2023" for i in range(N)]
    columns = {"when": days, "x": [f"{v:.3f}" for v in rows["x"]], "y": [str(v) for v in rows["y"]]}
    csv(here / "rows.csv", columns)
    raw, out = made(trunkline, "rows.csv", "--task", "y")
    assert "when" not in raw["features"]
    assert "to decide: when" in out
    text = (here / "made.yaml").read_text()
    assert "dates that may be %d/%m/%Y or %m/%d/%Y: say which" in text
    assert "{kind: datetime, format: '%m/%d/%Y'}" in text
    columns["when"][3] = "25/03/2023"
    csv(here / "rows.csv", columns)
    raw, _ = made(trunkline, "rows.csv", "--task", "y")
    assert raw["features"]["when"] == {"kind": "datetime", "format": "%d/%m/%Y"}
    assert raw["data"]["split"]["format"] == "%d/%m/%Y"
    trained(trunkline)


def test_dead_weight_and_leaks_are_named(rows, here, trunkline):
    draw = np.random.default_rng(1)
    pl.DataFrame(
        {
            "": np.arange(N),
            "x": rows["x"],
            "copy of x": rows["x"],
            "same": [7] * N,
            "empty": [None] * N,
            "session_id": draw.permutation(N) + 10**6,
            "outcome": [f"was_{v}" for v in rows["y"]],
            "almost": np.where(draw.random(N) < 0.98, rows["y"], 1 - rows["y"]),
            "took": pl.Series(draw.integers(1, 9, N)).cast(pl.Duration("ms")),
            "parts": [{"a": 1, "b": i} for i in range(N)],
            "y": rows["y"],
        }
    ).write_parquet("rows.parquet")
    raw, out = made(trunkline, "rows.parquet", "--task", "y", "--json")
    assert list(raw["features"]) == ["x", "almost"]
    why = {sheet["column"]: sheet["why"] for sheet in json.loads(out)["columns"]}
    assert why[""] == "row numbers"
    assert why["copy of x"] == "a copy of x"
    assert why["same"] == "one value in all rows"
    assert why["empty"] == "no value in any row"
    assert why["session_id"].endswith("another one in every row")
    assert why["outcome"].startswith("gives y away (AUC 1")
    assert "write its length as a number" in why["took"]
    assert "write its fields as columns" in why["parts"]
    text = (here / "made.yaml").read_text()
    for name, words in why.items():
        if name not in ("x", "almost", ""):
            assert f"# {name}: left out: {words}" in text
    assert "alone it predicts y with AUC 0.9" in text


def test_ids_with_zeros_in_front_and_wide_ones_stay_apart(rows, here, trunkline):
    columns = {
        "code": [("007", "7", "07", "70")[g] for g in rows["group"]],
        "item": [str(10**25 + int(g)) for g in rows["group"]],
        "z": [str(v) for v in rows["y"]],
    }
    csv(here / "rows.csv", columns)
    raw, _ = made(trunkline, "rows.csv", "--task", "z")
    assert raw["features"]["code"]["kind"] == raw["features"]["item"]["kind"] == "categorical"
    trained(trunkline)
    columns_of = {one["name"]: one for one in json.loads((here / "run" / "encoder.json").read_text())["columns"]}
    assert len(columns_of["code"]["ids"]["values"]) == 4
    assert len(columns_of["item"]["ids"]["values"]) == 4


@pytest.mark.parametrize("how", ["|", "; ", "json"])
def test_lists_in_cells_of_text(how, rows, here, trunkline):
    lists = [
        sorted({f"t{g}", f"t{(g + 1) % 4}", f"t{int(v > 0)}"}) for g, v in zip(rows["group"], rows["x"], strict=True)
    ]
    cells = [json.dumps(one) if how == "json" else how.join(one) for one in lists]
    pl.DataFrame({"tags": cells, "y": rows["y"]}).write_csv("rows.csv")
    raw, _ = made(trunkline, "rows.csv", "--task", "y")
    assert raw["features"]["tags"] == {"kind": "bag", "separator": how.strip()}
    assert "or each combination a category" in (here / "made.yaml").read_text()
    trained(trunkline)
    pl.DataFrame({"tags": lists, "y": rows["y"]}).write_parquet("rows.parquet")
    for table in ("rows.csv", "rows.parquet"):
        assert trunkline("predict", "run", table, "-o", f"{table}.out.parquet")[0] == 0
    assert pl.read_parquet("rows.csv.out.parquet").equals(pl.read_parquet("rows.parquet.out.parquet"))
    (here / "bad.csv").write_text('tags\n"[1, {}]"\n')
    if how == "json":
        status, _, err = trunkline("predict", "run", "bad.csv", "-o", "bad.parquet")
        assert status == 2
        assert "in row 1; its cells are JSON lists" in err


@pytest.mark.parametrize(("answers", "kind"), [("1\n", "bag"), ("2\n", "categorical"), ("7\n2\n", "categorical")])
def test_what_the_values_do_not_decide_is_asked(answers, kind, rows, here, trunkline, monkeypatch):
    cells = ["|".join(sorted({f"t{g}", f"t{(g + 1) % 4}"})) for g in rows["group"]]
    csv(here / "rows.csv", {"tags": cells, "y": [str(v) for v in rows["y"]]})
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    raw, out = made(trunkline, "rows.csv", "--task", "y", "--ask")
    assert raw["features"]["tags"]["kind"] == kind
    assert "1  a bag of its values" in out
    assert "to decide" not in out


def test_what_init_reads_is_what_train_reads(rows, here, trunkline):
    draw = np.random.default_rng(5)
    columns = {
        "amount": [f"{v:,.2f} €".translate(str.maketrans(",.", ".,")) for v in rows["amount"]],
        "when": [f"{1 + i % 28:02}.{1 + i % 12:02}.2023 {i % 24:02}:15" for i in range(N)],
        "code": [f"{v:04}" for v in draw.integers(0, 60, N)],
        "tags": ["|".join(sorted({f"a{v % 3}", f"b{v % 5}"})) for v in draw.integers(0, 60, N)],
        "free": [("ja", "nein", "")[v] for v in draw.integers(0, 3, N)],
        "y": ["ja" if v else "nein" for v in rows["y"]],
    }
    csv(here / "rows.csv", columns, ";")
    raw, out = made(trunkline, "rows.csv", "--task", "y", "--json")
    trained(trunkline)
    kept = yaml.safe_load((here / "run" / "config.yaml").read_text())
    for sheet in json.loads(out)["columns"]:
        written = kept["features"][sheet["column"]]
        assert written["kind"] == sheet["kind"]
        assert sheet["options"].items() <= written.items()
    encoded = {one["name"]: one for one in json.loads((here / "run" / "encoder.json").read_text())["columns"]}
    assert encoded["amount"]["mean"] == pytest.approx(rows["amount"].mean(), rel=0.1)
    assert encoded["when"]["format"] == "%d.%m.%Y %H:%M"
    assert all(len(value) == 4 for value in encoded["code"]["ids"]["values"])
    auto = {**raw, "features": "auto"}
    (here / "made.yaml").write_text(yaml.safe_dump(auto))
    trained(trunkline, "auto")
    again = {one["name"]: one for one in json.loads((here / "auto" / "encoder.json").read_text())["columns"]}
    assert again["amount"] == encoded["amount"]
    assert again["code"] == encoded["code"]


def to_workbook(frame):
    frame.write_excel("rows.xlsx", worksheet="orders")
    return "rows.xlsx#orders"


def to_database(frame):
    with closing(sqlite3.connect("rows.db")) as connection, connection:
        connection.execute(f"CREATE TABLE orders ({', '.join(frame.columns)})")
        marks = ", ".join("?" * frame.width)
        plain = frame.with_columns(pl.col("day").cast(pl.String))
        connection.executemany(f"INSERT INTO orders VALUES ({marks})", plain.rows())
    return "sqlite:///rows.db#orders"


@pytest.mark.parametrize("move", [to_workbook, to_database])
def test_sheets_and_tables_of_databases_are_tables_everywhere(move, rows, here, trunkline):
    money = pl.Series([f"${v:,.2f}" for v in rows["amount"]])
    days = pl.Series([f"2024-{1 + i % 12:02}-{1 + i % 28:02}" for i in range(N)]).str.to_date()
    frame = pl.DataFrame({"x": rows["x"], "paid": money, "zip": rows["group"] + 100, "day": days, "y": rows["y"]})
    frame.with_columns(pl.col("day").cast(pl.String)).write_csv("rows.csv")
    source = move(frame)
    csv_config, _ = made(trunkline, "rows.csv", "--task", "y")
    plain = trained(trunkline, "plain")
    config, _ = made(trunkline, source, "--task", "y")
    assert config == {**csv_config, "data": {**csv_config["data"], "train": source}}
    assert config["features"]["paid"] == {"kind": "numeric", "format": {"thousands": ",", "strip": "$"}}
    assert config["data"]["split"]["by"] == "time"
    assert trained(trunkline)["y"] == pytest.approx(plain["y"], abs=1e-6)
    assert trunkline("predict", "run", source, "--keep", "zip", "-o", "made.parquet")[0] == 0
    assert trunkline("predict", "plain", "rows.csv", "-o", "plain.parquet")[0] == 0
    one, other = pl.read_parquet("made.parquet"), pl.read_parquet("plain.parquet")
    np.testing.assert_allclose(one["y"], other["y"], atol=1e-6)
    assert one["zip"].to_list() == (rows["group"] + 100).tolist()
    status, out, err = trunkline("evaluate", "run", source, "--json")
    assert (status, err) == (0, ""), err
    assert json.loads(out)["y"]["rows"] == N


def test_exact_repeats_of_rows_are_counted(rows, here, trunkline):
    frame = pl.DataFrame({"x": rows["x"] + np.arange(N) / 1e6, "amount": rows["amount"], "y": rows["y"]})
    plain = frame.with_row_index("row")
    plain.write_csv("rows.csv")
    _, out = made(trunkline, "rows.csv", "--task", "y")
    assert "equal an earlier one" not in out
    assert "# Rows" not in Path("made.yaml").read_text()
    twice = pl.concat([frame, frame[:200], frame[:50]]).sample(fraction=1, shuffle=True, seed=0).with_row_index("row")
    twice.write_csv("rows.csv")
    _, out = made(trunkline, "rows.csv", "--task", "y")
    told = re.search(r"rows: 250 equal an earlier one in every column; cut at random, about (\d+) validation rows", out)
    assert f"about {told[1]} validation rows stand in train too" in Path("made.yaml").read_text()
    command = re.search(r"to write each row once: python (-c .*)", out)[1]
    subprocess.run([sys.executable, *shlex.split(command)], check=True)
    once = pl.read_csv("once.csv")
    assert once.drop("row").equals(twice.drop("row").unique(maintain_order=True))
    trained(trunkline)
    parts = parts_of("run", twice.drop("row"))
    seen = {*parts["train"].rows()}
    assert sum(row in seen for row in parts["valid"].rows()) == pytest.approx(int(told[1]), abs=15)
    _, out, _ = trunkline("init", "rows.csv", "--task", "y", "-o", "made.yaml", "--overwrite", "--json")
    assert json.loads(out)["repeated_rows"] == 250
    few = pl.DataFrame({"a": rows["group"], "b": rows["group"][::-1] % 2, "y": rows["y"]})
    few.write_csv("rows.csv")
    _, out = made(trunkline, "rows.csv", "--task", "y")
    assert "equal an earlier one" not in out  # as rows of few different values do by chance
    _, out, _ = trunkline("init", "rows.csv", "--task", "y", "-o", "made.yaml", "--overwrite", "--json")
    assert json.loads(out)["repeated_rows"] == N - len(few.unique())


@pytest.mark.parametrize(("text", "encoding", "named"), [("é", "latin-1", "latin-1"), ("é €", "cp1252", "cp1252")])
@pytest.mark.parametrize("row", [0, 1, 300])
def test_an_encoding_is_named_with_the_option_that_takes_it(row, text, encoding, named, here, trunkline):
    lines = ["x,word,y", *(f"{i % 17},w{i % 3},{i % 2}" for i in range(400))]
    lines[row] = lines[row].replace("w", f"w{text}")
    (here / "rows.csv").write_bytes(("\n".join(lines) + "\n").encode(encoding))
    status, _, err = trunkline("init", "rows.csv", "--task", "y", "-o", "made.yaml")
    assert status == 2
    (option,) = re.findall(r"\((--encoding \S+), or data\.encoding: (\S+) in a config\)", err)
    assert option == (f"--encoding {named}", named)
    assert trunkline("init", "rows.csv", "--task", "y", "-o", "made.yaml", *option[0].split())[0] == 0


@pytest.mark.parametrize("tables", [1, 2])
@pytest.mark.parametrize("name", ["shop.db", "shop.sqlite", "shop.bin"])
def test_a_file_of_a_database_is_told_how_it_is_named(name, tables, rows, here, trunkline):
    with closing(sqlite3.connect(name)) as connection:
        for i in range(tables):
            connection.execute(f"create table rows{i}(x real, y integer)")
            connection.executemany(
                f"insert into rows{i} values (?, ?)", zip(rows["x"], map(int, rows["y"]), strict=True)
            )
        connection.commit()
    status, _, err = trunkline("init", name, "--task", "y", "-o", "made.yaml")
    assert status == 2
    url = re.search(r"sqlite:///\S+", err)[0]
    assert url == f"sqlite:///{name}#{'rows0' if tables == 1 else 'TABLE'}"
    assert all(f"rows{i}" in err for i in range(tables))
    made(trunkline, url.replace("TABLE", "rows1"), "--task", "y")


@pytest.mark.parametrize("name", ["rows.csv", "some rows.csv.gz", "rows.parquet", "rows.xlsx"])
def test_a_table_given_for_a_config_is_told_from_one(name, here, trunkline):
    (here / name).write_bytes(b"x,y\n1,2\n")
    status, _, err = trunkline("train", name)
    assert status == 2
    assert f"{name} is a table and no config; `trunkline init {shlex.quote(name)} --task LABEL` writes one" in err


def parts_of(run, frame):
    """The rows of each part, as the run cut them."""
    split = yaml.safe_load(Path(f"{run}/config.yaml").read_text())["data"]["split"]
    made = Split(by="random", valid=split["valid"], test=split["test"], seed=split["seed"])
    return cut(frame, made)[0]


def test_a_time_named_like_a_leak_is_asked_about_and_cuts_nothing(here, trunkline):
    draw = np.random.default_rng(0)
    y, moments = draw.integers(0, 2, N), [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(N)]
    rows = pl.DataFrame(
        {
            "status": [("done", "lost")[one] for one in y],
            "status_date": [moments[i] for i in draw.permutation(N)],
            "booked": [moments[i] for i in draw.permutation(N)],
            "x": draw.normal(size=N),
            "y": y,
        }
    )
    rows.write_csv("late.csv")
    raw, out = made(trunkline, "late.csv", "--task", "y")
    assert "status" not in raw["features"]
    assert raw["data"]["split"]["column"] == "booked"
    assert "its name is like that of status" in " ".join(Path("made.yaml").read_text().split())
    assert re.search(r"to decide: .*status_date", out)
    rows.drop("booked").write_csv("late.csv")
    raw, _ = made(trunkline, "late.csv", "--task", "y")
    assert raw["data"]["split"]["by"] == "random"
