"""Nothing is asked of a network, at import or while it works, and nothing is told to one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CUT_OFF = """
import socket, sys

def refuse(name):
    def refused(*arguments, **_):
        raise AssertionError(f"{name}{arguments[-1:]} was called")
    return refused

inner = socket.socket
class Cut(inner):
    # Processes of one machine may talk by files and pairs of sockets; nothing may leave it.
    def __init__(self, family=-1, *arguments, **options):
        if family not in (socket.AF_UNIX,) and options.get("fileno") is None and arguments[2:3] in ((), (None,)):
            raise AssertionError(f"a socket of family {family} was made")
        super().__init__(family, *arguments, **options)
    connect = connect_ex = sendto = sendmsg = refuse("connect")
socket.socket = Cut
for name in ("create_connection", "getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getfqdn"):
    setattr(socket, name, refuse(name))
"""


def cut_off(program, *arguments, cwd):
    """Run a program that no network answers."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", CUT_OFF + program, *map(str, arguments)],
        cwd=cwd,
        # what tells a library that it is being tested, upon which it may keep quiet of its own accord
        env={name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_CURRENT_TEST")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    "program",
    [
        "import urllib.request; urllib.request.urlopen('http://localhost:9')",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        "import http.client; http.client.HTTPSConnection('127.0.0.1').connect()",
        "import socket as s; s.getaddrinfo('localhost', 80)",
        "import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', 9))",
    ],
)
def test_the_network_is_cut_off(tmp_path, program):
    done = cut_off(program, cwd=tmp_path)
    assert done.returncode != 0
    assert "AssertionError" in done.stderr


IMPORTS = """
import importlib, pkgutil
import trunkline
names = [one.name for one in pkgutil.walk_packages(trunkline.__path__, "trunkline.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_everything_is_imported_without_a_network(tmp_path):
    done = cut_off(IMPORTS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


WORK = """
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
from small_run import CONFIG, make_small_run, small_rows
import yaml
from trunkline.cli import main

here = Path.cwd()
run = make_small_run(here)
small_rows(40, seed=5).write_parquet("rows.parquet")
Path("feed.yaml").write_text(yaml.safe_dump(CONFIG | {"data": {"train": "train.parquet", "valid": "valid.parquet"}}))
Path("late.yaml").write_text(yaml.safe_dump({"tasks": {"late": {"kind": "binary", "label": "buy"}}}))
commands = [
    ["init", "train.parquet", "--task", "click", "--out", "made.yaml"],
    ["train", "feed.yaml", "--out", "again", "--set", "training.trackers=[tensorboard]"],
    ["train", "feed.yaml", "--out", "again", "--resume", "--set", "training.epochs=2"],
    ["predict", "run", "rows.parquet", "--out", "made.csv"],
    ["evaluate", "run", "rows.parquet"],
    ["extend", "run", "late.yaml", "--out", "larger", "--set", "training.epochs=1"],
    ["train", "feed.yaml", "--out", "told", "--set", "training.trackers=[{kind: mlflow, uri: 'sqlite:///told.db'}]"],
    ["diagnose", "run"],
    ["report", "run", "again", "--out", "page.html"],
]
for command in commands:
    sys.argv = ["trunkline", *command]
    try:
        main()
    except SystemExit as exit_:
        assert not exit_.code, (command, exit_.code)
page = Path("page.html").read_text()
for part in page.split("<script")[1:] + page.split("<link")[1:] + page.split("<img")[1:]:
    assert "http" not in part.partition(">")[0], part[:200]
print("done")
"""


def test_a_run_is_made_and_looked_at_without_a_network(tmp_path):
    done = cut_off(WORK, TESTS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("done\n")
