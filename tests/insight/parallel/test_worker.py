"""A process that works for another one."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import trunkline

WORK = """
import time
from trunkline.insight.parallel.worker import serve

def begin(common):
    time.sleep(1)  # what is sent meanwhile waits
    def do(order, tell):
        tell({"got": order["n"] + common["add"]})
        time.sleep(order["seconds"])
    return do

serve(begin)
"""


@contextmanager
def started(tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    environment = os.environ | {"PYTHONPATH": str(Path(trunkline.__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "work.py"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def send(process, *values):
    process.stdin.write("".join(json.dumps(value) + "\n" for value in values))
    process.stdin.flush()


def test_pieces_are_worked_on_in_order(tmp_path):
    with started(tmp_path) as process:
        send(process, {"threads": 1, "add": 10}, {"n": 1, "seconds": 0})
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert answers == [{"line": {"got": 11}}, {"done": True, "problem": None}]
        send(process, {"n": 2, "seconds": 0})
        answers = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert answers == [{"line": {"got": 12}}, {"done": True, "problem": None}]
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_it_stops_in_the_midst_of_a_piece(tmp_path):
    with started(tmp_path) as process:
        send(process, {"threads": 1, "add": 0}, {"n": 1, "seconds": 100})
        process.stdout.readline()
        process.stdin.close()
        assert process.wait(timeout=60) == 130


def test_it_stops_where_the_end_comes_with_the_piece(tmp_path):
    """Before it has begun the piece, or as soon as it has: which of them is a matter of threads."""
    with started(tmp_path) as process:
        send(process, {"threads": 1, "add": 0}, {"n": 1, "seconds": 100})
        process.stdin.close()
        assert process.wait(timeout=60) in (0, 130)
