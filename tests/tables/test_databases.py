"""Tables of databases: every value as it is, one reading, no password anywhere, no connection for strangers."""

import sqlite3
import subprocess
import sys
import traceback
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from trunkline import Config, Model, UserError, diagnose, extend, fit, importance
from trunkline.tables import ROW
from trunkline.tables.database import DatabaseTable, masked, read_server
from trunkline.tables.fingerprint import fingerprint
from trunkline.tables.source import Files, find_files


def execute(path, *commands, rows=None):
    with closing(sqlite3.connect(path)) as connection, connection:
        for command in commands:
            connection.execute(command)
        if rows is not None:
            name, values = rows
            connection.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(values[0]))})", values)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shop(rows=200):
    draw = np.random.default_rng(0)
    x = draw.normal(size=rows)
    y = (draw.random(rows) < 1 / (1 + np.exp(-2 * x))).astype(int)
    z = (x > 0).astype(int)
    execute(
        "shop.db",
        "CREATE TABLE events (x REAL, city TEXT, y BOOLEAN, z INTEGER)",
        rows=("events", [(a, "abc"[i % 3], int(b), int(c)) for i, (a, b, c) in enumerate(zip(x, y, z, strict=True))]),
    )


def plain(url):
    return Files(url).read().drop(ROW)


def test_every_value_is_what_it_is(here):
    columns = {
        "n INTEGER": [None, 1, 2**62, -3],
        "real_late NUMERIC": [None, None, 1, 2.5],
        "mixed": [None, 1, "a", 2.5],
        "code VARCHAR(9)": ["007", "7", None, ""],
        "truth BOOLEAN": [None, 0, 1, 1],
        "odd BOOLEAN": [None, 0, 1, 7],
        "blob": [b"\0", None, b"x", b""],
        "day DATE": ["2024-02-29", None, "2023-01-01", "2024-01-01"],
        "none": [None] * 4,
    }
    execute(
        "a.db",
        f'CREATE TABLE "the ""rows""" ({", ".join(columns)})',
        rows=('"the ""rows"""', list(zip(*columns.values(), strict=True))),
    )
    found = plain('sqlite:///a.db#the "rows"')
    assert found.columns == [name.split()[0] for name in columns]
    expected = dict(zip(found.columns, columns.values(), strict=True))
    expected |= {"mixed": [None, "1", "a", "2.5"], "truth": [None, False, True, True]}
    assert found.to_dict(as_series=False) == expected
    kinds = [pl.Int64, pl.Float64, pl.String, pl.String, pl.Boolean, pl.Int64, pl.Binary, pl.String, pl.Null]
    assert found.dtypes == kinds


def test_types_hold_over_blocks_of_rows(here, monkeypatch):
    monkeypatch.setattr("trunkline.tables.database.ROWS", 3)
    values = [(1, None, 1), (2, None, 2), (3, None, 3), (4, None, 0.5), (5, "a", None), (6, "b", "text")]
    execute("a.db", "CREATE TABLE t (a, b, c)", rows=("t", values))
    assert plain("sqlite:///a.db").to_dict(as_series=False) == {
        "a": [1, 2, 3, 4, 5, 6],
        "b": [None, None, None, None, "a", "b"],
        "c": ["1", "2", "3", "0.5", None, "text"],
    }


@pytest.mark.parametrize("kinds", ["if", "is", "fs", "ifs", "ifsb", "ib", "fb"])
def test_what_a_column_holds_does_not_depend_on_the_blocks(kinds, here, monkeypatch):
    draw = np.random.default_rng(len(kinds))
    some = {
        "i": lambda: int(draw.choice([5, -7, 2**53, 2**62])) if "f" not in kinds or "s" in kinds else 5,
        "f": lambda: float(draw.choice([5.0, 2.5, 1e20, 1e-7, 0.1])),
        "s": lambda: str(draw.choice(["5", "x", ""])),
        "b": lambda: bytes(draw.choice([b"5", b"\x01"])),
    }
    values = [some[str(kind)]() if draw.random() > 0.2 else None for kind in draw.choice(list(kinds), 40)]
    values += [some[kind]() for kind in kinds]  # the widest comes last of all
    execute("a.db", "CREATE TABLE t (k)", rows=("t", [(value,) for value in values]))
    expected = values
    if "b" in kinds:
        expected = [one if one is None or isinstance(one, bytes) else str(one).encode() for one in values]
    elif "s" in kinds:
        expected = [one if one is None else str(one) for one in values]
    for rows in (1, 2, 7, 100):
        monkeypatch.setattr("trunkline.tables.database.ROWS", rows)
        assert plain("sqlite:///a.db")["k"].to_list() == expected


def test_a_view_with_a_name_twice_is_refused(here):
    execute("a.db", "CREATE TABLE t (x)", "CREATE TABLE u (x)", rows=("t", [(1,)]))
    # SQLite itself calls the second column of such a view `x:1`, whoever reads it.
    execute("a.db", "CREATE VIEW v AS SELECT t.x, u.x FROM t LEFT JOIN u")
    with pytest.raises(UserError, match=r"#v: column 'x' stands more than once; give each column of the view a name"):
        plain("sqlite:///a.db#v")
    execute("a.db", 'CREATE VIEW w AS SELECT x AS a, x + 1 AS "a:x", x + 2 AS "b:1" FROM t')
    assert plain("sqlite:///a.db#w").to_dict(as_series=False) == {"a": [1], "a:x": [2], "b:1": [3]}


def test_paths_and_tables_are_named(here):
    execute("a.db", "CREATE TABLE one (x INTEGER)", rows=("one", [(1,), (2,)]))
    expected = pl.DataFrame({"x": [1, 2]})
    for url in ("sqlite:///a.db", "sqlite:///a.db#one", f"sqlite:///{here}/a.db#one"):
        assert_frame_equal(plain(url), expected)
    execute("a.db", "CREATE VIEW other AS SELECT x + 1 AS x FROM one")
    assert plain("sqlite:///a.db#other")["x"].to_list() == [2, 3]
    with pytest.raises(UserError, match=r"name the table behind the file: .*\(there: 'one', 'other'\)"):
        plain("sqlite:///a.db")
    with pytest.raises(UserError, match="#othr is not in the database; did you mean 'other'"):
        plain("sqlite:///a.db#othr")
    with pytest.raises(
        UserError, match=r"file b\.db does not exist; a path from the root begins with four: sqlite:////b"
    ):
        Files("sqlite:///b.db#one")
    assert not Path("b.db").exists()
    Path("c.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match=r"sqlite:///c\.db#one cannot be read: file is not a database"):
        plain("sqlite:///c.db#one")
    assert find_files(["sqlite:///a.db#one"]) == []
    before = Path("a.db").read_bytes()
    plain("sqlite:///a.db#one")
    assert Path("a.db").read_bytes() == before


def test_files_and_tables_together(here):
    execute("a.db", "CREATE TABLE one (x INTEGER)", rows=("one", [(1,), (2,)]))
    Path("b.csv").write_text("x\n3\n")
    files = Files(["sqlite:///a.db#one", "b.csv"])
    assert files.read()["x"].to_list() == [1, 2, 3]
    with pytest.raises(UserError, match=r"sqlite:///a.db#one: column 'x' holds 2 in row 2"), files.naming():
        raise UserError("column 'x' holds 2 in row 2; no")


def test_servers_are_read_by_polars(here):
    """The reader of servers, on the one database that needs none."""
    execute("a.db", "CREATE TABLE one (x INTEGER, s TEXT)", rows=("one", [(1, "a"), (2, None)]))
    found = read_server('SELECT * FROM "one"', f"sqlite://{here}/a.db")
    assert_frame_equal(found, pl.DataFrame({"x": [1, 2], "s": ["a", None]}))


def test_a_server_gets_its_query_and_the_password_of_the_environment(monkeypatch):
    asked = []

    def answer(query, url):
        asked.append((query, url))
        return pl.DataFrame({"x": [1]})

    monkeypatch.setattr("trunkline.tables.database.read_server", answer)
    monkeypatch.setenv("TRUNKLINE_SHOP", "p@ss/w#rd")
    url = "postgresql://anna:$TRUNKLINE_SHOP@host:5432/shop?sslmode=require#public.the events"
    assert plain(url)["x"].to_list() == [1]
    plain("mysql://anna:${TRUNKLINE_SHOP}@host/shop#a`b")
    plain("postgresql://host/shop#events")
    assert asked == [
        ('SELECT * FROM "public"."the events"', "postgresql://anna:p%40ss%2Fw%23rd@host:5432/shop?sslmode=require"),
        ("SELECT * FROM `a``b`", "mysql://anna:p%40ss%2Fw%23rd@host/shop"),
        ('SELECT * FROM "events"', "postgresql://host/shop"),
    ]
    monkeypatch.delenv("TRUNKLINE_SHOP")
    with pytest.raises(UserError, match="variable 'TRUNKLINE_SHOP' of the environment is not set"):
        Files(url)

    def fail(query, url):
        raise RuntimeError("no such user in postgresql://anna:hush@host")

    monkeypatch.setenv("TRUNKLINE_SHOP", "hush")
    monkeypatch.setattr("trunkline.tables.database.read_server", fail)
    with pytest.raises(UserError, match="cannot be read: no such user") as found:
        plain(url)
    assert "hush" not in str(found.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://anna:hush@host/shop#t",
        "postgresql://anna:hu:sh@host/shop#t",
        "postgresql://anna:$hush!@host/shop#t",
        "mysql://host/shop?password=hush#t",
        "mysql://host/shop?user=a&sslpassword=hush#t",
        "oracle://anna:hush@host/shop#t",
        "postgresql://anna:hush@host/shop",
        *(
            f"{scheme}://anna:{password}@host/shop#t"
            for scheme in ("postgresql", "mysql", "jdbc:postgresql", " postgres", "mysql+pymysql")
            for password in (
                "12/hush",
                "hu/hush",
                "1#hush",
                "?hush",
                "/@hush",
                "hush@1/",
                "a:b@hush#c",
                "%hush",
                "$hush",
            )
        ),
        "postgresql:/anna:hush@host/shop#t",
        "mysql:anna:hush@host/shop#t",
        "postgresql://anna:hush/shop#t",
        "postgresql://anna:1hush",
        "postgresql://host/shop?password=a#hush",
        "postgresql://host/shop?password=a&hush@b#t",
        "postgresql://host/shop?user=a&ssl%70assword=hush#t",
        "postgresql://host/shop?a=b;pass=hush",
        "postgresql://host:99999/shop?x=1&token=hush#t",
        "postgresql://anna:$AWS_hush@host/shop#t",
        "postgresql://anna:${hush}@host/shop#t",
        "postgresql://anna:$TRUNKLINE_A$hush@host/shop#t",
        "postgresql://anna:$TRUNKLINE_A@b@hush@host/shop#t",
        "sqlite://anna:hush@host/shop.db#t",
        "sqlite:///shop.db?password=hush#t",
    ],
)
def test_a_password_goes_nowhere(url, here):
    assert "hush" not in masked(url).replace("@hush@", "")
    options = {"data": {"train": [url]}, "tasks": {"y": "binary"}}
    wrong = {**options, "data": {"train": {"url": [url]}}}
    (here / "a.yaml").write_text(yaml.safe_dump(options))
    for told in (
        lambda: Files(url),
        lambda: Config.make(options),
        lambda: Config.make("a.yaml"),
        lambda: Config.make(wrong),
        lambda: Config.make({**options, "data": {}}, overrides={"data.valid": url}),
    ):
        with pytest.raises(UserError) as found:
            told()
        assert "hush" not in "".join(traceback.format_exception(found.value)).partition("UserError: ")[2]


def test_a_password_is_in_no_message_about_yaml(here):
    for line in (
        '["mysql://a:hush@b#t"',
        '"mysql://a:hush@b#t\\q"',
        "mysql://a:hush@b: c: d",
        "!!int mysql://a:hush@b",
    ):
        (here / "a.yaml").write_text(f"data:\n  train: {line}\ntasks: }}\n")
        with pytest.raises(UserError, match=r"is no valid YAML: .*line") as found:
            Config.make("a.yaml")
        assert "hush" not in str(found.value)


def test_where_no_password_is_nothing_is_masked(here):
    for url in (
        "sqlite:///a:b@c.db#t",
        "sqlite:////rows/a.db#x@y:z",
        "postgresql://anna@host:5432/shop?sslmode=require#t",
        "mysql://anna:${TRUNKLINE_A}@[::1]:3306/shop#public.t",
        "postgresql://host/shop#t:u",
    ):
        assert masked(url) == url
        assert str(DatabaseTable(url)) == url
    assert masked("C:/rows/a:b@c.csv") == "C:/rows/a:b@c.csv"


def test_what_is_asked_for_is_named(monkeypatch):
    with pytest.raises(UserError, match="name the table behind the URL: postgresql://host/shop#table"):
        DatabaseTable("postgresql://host/shop")
    with pytest.raises(UserError, match=r"databases are named by sqlite://, postgresql://.*; write rows that lie"):
        Files("s3://bucket/rows.parquet")
    for url in ("postgresql://host:99999/shop#t", "postgresql://[host/shop#t", "mysql://a/b:$TRUNKLINE_A@host/c#t"):
        with pytest.raises(
            UserError, match=r"this is no URL of a server; it is \w+://user:\$TRUNKLINE_NAME@host:port/"
        ):
            DatabaseTable(url)
    with pytest.raises(UserError, match=r"sql://host:\*\*\*: what stands behind the colon is no port"):
        DatabaseTable("postgresql://host:port/shop#t")
    monkeypatch.setattr("trunkline.tables.database.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"databases need connectorx; pip install 'trunkline\[database\]'"):
        Files("postgresql://host/shop#t")


CONFIG = {
    "data": {"train": "sqlite:///shop.db#events", "split": {"by": "random", "valid": 0.2, "test": 0.2}},
    "tasks": {"y": "binary"},
    "network": {"sharing": {"kind": "shared_bottom", "hidden": [4]}, "towers": {"hidden": [2]}},
    "training": {"epochs": 1, "batch_size": 64, "device": "cpu"},
}


def test_a_run_goes_on_with_the_rows_that_it_read(here):
    shop()
    fit(CONFIG, out="run")
    content = yaml.safe_load(Path("run/config.yaml").read_text())["data"]["content"]
    assert content == {"sqlite:///shop.db#events": DatabaseTable("sqlite:///shop.db#events").content}
    more = {"training.epochs": 2}
    fit("run/config.yaml", out="run", overrides=more, resume=True)
    execute("shop.db", "UPDATE events SET x = 0 WHERE rowid = 7")
    with pytest.raises(UserError, match=r"shop\.db#events gives other rows, .* than when run was begun"):
        fit("run/config.yaml", out="run", overrides={"training.epochs": 3}, resume=True)


def test_a_run_folder_connects_nobody(here):
    shop()
    model = fit({**CONFIG, "data": {**CONFIG["data"], "ignore": ["z"]}}, out="run")
    rows = Files("sqlite:///shop.db#events").read().drop(ROW)
    said = "its train rows lie in sqlite:///shop.db#events; a run folder makes nobody connect"
    with pytest.raises(UserError, match=said):
        importance(model)
    assert "makes nobody connect" in str(diagnose("run"))
    with pytest.raises(UserError, match=said):
        extend("run", {"tasks": {"z": "binary"}})
    assert len(extend("run", {"tasks": {"z": "binary"}, "data": CONFIG["data"]})(rows)) == len(rows)
    # What a person names is read.
    estimates = pl.concat(Model.load("run").iter("sqlite:///shop.db#events"))
    assert_frame_equal(estimates, model(rows), check_exact=False, abs_tol=1e-6)


def test_the_hash_of_a_table_is_the_same_in_every_process(here):
    shop(50)
    program = (
        "from trunkline.tables.database import DatabaseTable; print(DatabaseTable('sqlite:///shop.db#events').content)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    table = DatabaseTable("sqlite:///shop.db#events")
    assert done.stdout.strip() == table.content
    assert fingerprint([table])[0]["size"] == 50
