import json

import pytest
import torch

from trunkline.errors import UserError
from trunkline.runs import files, tensors
from trunkline.runs.files import write_json, write_text
from trunkline.runs.folder import RunFolder, TemporaryFolder
from trunkline.runs.history import History, read_history
from trunkline.runs.tensors import read_tensors, write_tensors

TENSORS = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.tensor(3), "c": torch.zeros(0, 2, dtype=torch.int32)}


def test_tensors_and_facts_come_back(tmp_path):
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, {"step": 3, "score": None, "name": "ü"})
    tensors, facts = read_tensors(path)
    assert facts == {"step": 3, "score": None, "name": "ü"}
    assert tensors.keys() == TENSORS.keys()
    assert all(tensors[name].equal(tensor) and tensors[name].dtype == tensor.dtype for name, tensor in TENSORS.items())


@pytest.mark.parametrize("step", ["save_file", "fsync", "replace", "facts"])
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, {"old": True})
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    if step != "facts":
        monkeypatch.setattr(tensors if step == "save_file" else files.os, step, fail)
    with pytest.raises(ValueError, match="JSON compliant" if step == "facts" else "cannot be written: disk full"):
        write_tensors(path, {"a": torch.ones(2)}, {"score": float("nan")} if step == "facts" else {})
    assert path.read_bytes() == before
    assert read_tensors(path)[1] == {"old": True}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_text_is_whole_or_old(tmp_path, monkeypatch, step):
    path = tmp_path / "x.json"
    write_json(path, {"score": 1})

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(UserError, match=r"x\.json cannot be written: disk full"):
        write_json(path, {"score": 2})
    assert json.loads(path.read_text()) == {"score": 1}


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"score": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_tensors_that_cannot_be_read(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(UserError, match="does not exist"):
        read_tensors(path)
    write_tensors(path, TENSORS, {})
    whole = path.read_bytes()
    for content in (b"", b"junk" * 9, whole[: len(whole) - 3]):
        path.write_bytes(content)
        with pytest.raises(UserError, match="cannot be read"):
            read_tensors(path)
    tensors.save_file({"a": torch.ones(1)}, path)
    with pytest.raises(UserError, match="cannot be read"):
        read_tensors(path)


def test_a_run_is_not_begun_over_another(tmp_path):
    run = RunFolder(tmp_path / "deep" / "run")
    assert not run.holds_a_run()
    run.start()
    write_text(run.config, "x")
    run.history.write_text("y")
    with pytest.raises(UserError, match=r"holds another run; .*--resume.*--overwrite"):
        run.start()
    (run.path / "notes.txt").write_text("mine")
    run.start(overwrite=True)
    assert not run.holds_a_run()
    assert not run.history.exists()
    assert (run.path / "notes.txt").read_text() == "mine"


def test_a_file_is_no_run_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UserError, match="is a file"):
        RunFolder(tmp_path / "run").start()


def test_a_temporary_folder_goes_with_its_object():
    folder = TemporaryFolder()
    path = folder.path
    (path / "file").write_text("")
    del folder
    assert not path.exists()


def lines(*steps):
    return [{"step": step, "loss": step / 3} for step in steps]


def test_history_appends_and_a_new_one_starts_empty(tmp_path):
    path = tmp_path / "history.jsonl"
    history = History(path)
    for line in lines(1, 2, 3):
        history.write(line)
        assert read_history(path)[-1] == line
    assert read_history(path) == lines(1, 2, 3)
    History(path)
    assert read_history(path) == []
    assert read_history(tmp_path / "absent") == []


@pytest.mark.parametrize(("after", "kept"), [(0, []), (2, [1, 2]), (3, [1, 2, 3, 3]), (9, [1, 2, 3, 3, 5])])
def test_a_resumed_history_forgets_later_steps(tmp_path, after, kept):
    path = tmp_path / "history.jsonl"
    first = History(path)
    for line in lines(1, 2, 3, 3, 5):
        first.write(line)
    again = History(path, after=(after, 9))
    assert read_history(path) == lines(*kept)
    again.write({"step": 99})
    assert read_history(path) == [*lines(*kept), {"step": 99}]


def test_an_epoch_whose_end_the_checkpoint_does_not_hold_is_told_once(tmp_path):
    """At an epoch's last step a checkpoint may be older than the line of the epoch's end, though both say that step."""
    path = tmp_path / "history.jsonl"
    ends = [{"step": 5, "epoch": 0, "valid": None}, {"step": 10, "epoch": 1, "valid": None}]
    written = [{"step": 5}, ends[0], {"step": 10}, ends[1]]
    first = History(path)
    for line in written:
        first.write(line)
    History(path, after=(10, 1))
    assert read_history(path) == written[:-1]
    first.write(ends[1])
    History(path, after=(10, 2))
    assert read_history(path) == written


@pytest.mark.parametrize("cut", [1, 5, 10])
def test_a_last_line_cut_short_is_left_out(tmp_path, cut):
    path = tmp_path / "history.jsonl"
    history = History(path)
    for line in lines(1, 2, 3):
        history.write(line)
    path.write_bytes(path.read_bytes()[:-1][:-cut])
    assert read_history(path) == lines(1, 2)
    History(path, after=(9, 9)).write({"step": 4})
    assert read_history(path) == [*lines(1, 2), {"step": 4}]


def test_history_holds_no_nan(tmp_path):
    history = History(tmp_path / "history.jsonl")
    history.write({"step": 1, "losses": {"a": float("nan"), "b": 0.5}, "norms": [float("inf"), 1.0]})
    assert read_history(tmp_path / "history.jsonl") == [
        {"step": 1, "losses": {"a": None, "b": 0.5}, "norms": [None, 1.0]}
    ]
