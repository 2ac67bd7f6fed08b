"""Files of a run: whole or not at all, and one process at a time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import trunkline
from trunkline import UserError, fit
from trunkline.runs.files import write_json, write_text
from trunkline.runs.folder import RunFolder
from trunkline.runs.history import History, read_history
from trunkline.runs.tensors import read_tensors, write_tensors

LIMITED = """
import resource, sys
import polars as pl
import trunkline
from trunkline.runs import files

rows = {part: pl.read_parquet(f"{part}.parquet") for part in ("train", "valid")}
lines = []

def line(one):
    lines.append(one)
    if len(lines) == 12:
        # every further file may hold this much and no more: what a disk does that is full
        resource.setrlimit(resource.RLIMIT_FSIZE, (BYTES, resource.RLIM_INFINITY))

resume = sys.argv[1] == "resume"
trunkline.fit("config.yaml", out="run", resume=resume, on_line=None if resume else line, **rows)
"""


@pytest.fixture
def started(parts, small_settings, tmp_path):
    """A run in a process of its own."""
    (tmp_path / "config.yaml").write_text(
        trunkline.Config.make(small_settings, overrides={"training.epochs": 6}).to_yaml()
    )
    for part, frame in parts.items():
        frame.write_parquet(tmp_path / f"{part}.parquet")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(trunkline.__file__).parents[1])}

    def started(code, *arguments):
        (tmp_path / "code.py").write_text(code)
        command = [sys.executable, "code.py", *arguments]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return started


@pytest.mark.parametrize("limit", [100, 3000, 6000])
def test_a_full_disk_stops_the_run_with_a_message_and_the_last_checkpoint(
    started, parts, small_settings, tmp_path, whole, limit
):
    process = started(LIMITED.replace("BYTES", str(limit)), "begin")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "UserError" in told
    assert "cannot be written: " in told
    assert "make room on that disk" in told
    run = RunFolder(tmp_path / "run")
    tensors, facts = read_tensors(run.checkpoint)
    assert tensors
    assert facts["progress"]["step"] >= 5
    assert not list(run.path.rglob("*.partial"))
    assert all("step" in line for line in read_history(run.history))
    process = started(LIMITED.replace("BYTES", str(limit)), "resume")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    config = trunkline.Config.make(small_settings, overrides={"training.epochs": 6})
    fit(config, **parts, out=tmp_path / "whole")
    assert whole(tmp_path / "run") == whole(tmp_path / "whole")


HOLDS = """
import sys, time
import polars as pl
import trunkline

rows = {part: pl.read_parquet(f"{part}.parquet") for part in ("train", "valid")}

def line(one):
    print("training", flush=True)
    time.sleep(60)

trunkline.fit("config.yaml", out="run", on_line=line, **rows)
"""


def test_a_second_process_is_refused_and_told_of_the_first(started, parts, small_settings, tmp_path):
    config = trunkline.Config.make(small_settings, overrides={"training.epochs": 6})
    process = started(HOLDS)
    assert process.stdout.readline() == "training\n"
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for how in ({"resume": True}, {"overwrite": True}, {}):
        with pytest.raises(UserError, match=rf"run is in use: process {process.pid} on \S+ trains there"):
            fit(config, **parts, out=tmp_path / "run", **how)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    process.send_signal(signal.SIGKILL)
    process.communicate()
    fit(config, **parts, out=tmp_path / "run", resume=True)
    assert not (tmp_path / "run" / ".owner").exists()


def test_what_a_lock_says_is_not_believed_blindly(tmp_path):
    run = RunFolder(tmp_path / "run")
    with run.locked():
        (run.path / ".owner").write_text("process 1 on a\x1b[31mb\n")
        with pytest.raises(UserError, match="in use: another process trains there"), RunFolder(run.path).locked():
            pass
    with run.locked():
        assert (run.path / ".owner").read_text().startswith(f"process {os.getpid()} on ")


def test_a_reader_sees_whole_files_alone(tmp_path):
    """While they are written again and again, with ever other sizes."""
    path, text, lines = tmp_path / "x.safetensors", tmp_path / "x.json", tmp_path / "history.jsonl"
    write_tensors(path, {"a": torch.zeros(1)}, {"n": 1})
    write_json(text, {"a": [0]})
    History(lines)
    child = os.fork()
    if not child:
        history = History(lines)
        for n in range(1, 400):
            write_tensors(path, {"a": torch.full((n * 50,), float(n))}, {"n": n})
            write_json(text, {"a": [n] * n * 20})
            history.write({"step": n, "filler": "x" * 5000})
        os._exit(0)
    seen = set()
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        tensors, facts = read_tensors(path)
        assert tensors["a"].unique().numel() == 1
        assert int(tensors["a"][0]) in (0, facts["n"])
        seen.add(facts["n"])
        values = json.loads(text.read_text())["a"]
        assert len(set(values)) == 1
        told = [line["step"] for line in read_history(lines)]
        assert told == list(range(1, len(told) + 1))
    assert len(seen) > 3


def test_every_write_reaches_the_disk_before_it_replaces_what_was_there(tmp_path, monkeypatch):
    from trunkline.runs import files

    done = []
    replace, fsync, sync = os.replace, os.fsync, files.sync
    monkeypatch.setattr(files.os, "fsync", lambda fd: done.append("fsync") or fsync(fd))
    monkeypatch.setattr(files.os, "replace", lambda a, b: done.append("replace") or replace(a, b))
    monkeypatch.setattr(files, "sync", lambda folder: done.append("folder") or sync(folder))
    write_text(tmp_path / "a", "a")
    write_tensors(tmp_path / "b", {"a": torch.zeros(1)}, {})
    assert done == ["fsync", "replace", "folder", "fsync"] * 2
