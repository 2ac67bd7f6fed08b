"""Runs that strangers send: loaded, or refused in words; nothing in them is run."""

import ast
import io
import json
import os
import pickle
import resource
import shutil
import signal
import struct
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, safe_open, save_file
from small_run import CONFIG, make_small_run, small_rows

import trunkline
from trunkline import Config, Model, UserError, fit
from trunkline.cli import main
from trunkline.runs import tensors
from trunkline.tables.store import Store

FILES = (
    *("config.yaml", "encoder.json", "model.safetensors", "calibration.json", "metrics.json", "curves.json"),
    "checkpoint/state.safetensors",
)
OPENED = ("config.yaml", "encoder.json", "model.safetensors", "calibration.json")
"""What a model is loaded from."""


class Bomb:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    return make_small_run(tmp_path_factory.mktemp("small"))


@pytest.fixture
def run(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def trunkline_command(monkeypatch, capsys):
    """The command line in this process: arguments -> (exit status, stderr); any exception is a failure."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["trunkline", *map(str, arguments)])
        try:
            main()
            status = 0
        except SystemExit as exit_:
            status = exit_.code or 0
        return status, capsys.readouterr().err

    return command


def edit_json(path, change):
    value = json.loads(path.read_text())
    changed = change(value)
    path.write_text(json.dumps(value if changed is None else changed))


def edit_tensors(path, change):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata=metadata)


def header_and_rest(path):
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def put_header(path, header, rest):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


@contextmanager
def within(seconds, megabytes):
    """Fails what takes longer, or lets the process grow by more."""

    def late(*_):
        raise TimeoutError(f"not done within {seconds} s")

    before, peak = signal.signal(signal.SIGALRM, late), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < megabytes * 1024


def refused(path, *words):
    with within(20, 400), pytest.raises(UserError) as found:
        Model.load(path, device="cpu")
    for word in words:
        assert word in str(found.value)
    return str(found.value)


def test_the_run_itself_is_loaded(run):
    model = Model.load(run, device="cpu")
    assert len(model(small_rows(7))) == 7
    assert set(model.calibrators) == {"click", "buy"}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("protocol", [0, 4, "torch"])
def test_a_pickle_in_place_of_any_file_is_not_opened(run, tmp_path, trunkline_command, name, protocol):
    bomb, target = Bomb(tmp_path / "exploded"), run / name
    if protocol == "torch":
        torch.save({"x": bomb}, target)
    else:
        target.write_bytes(pickle.dumps(bomb, protocol=protocol))
    rows = tmp_path / "rows.parquet"
    small_rows(9).write_parquet(rows)
    if name in OPENED:
        assert name in refused(run)
        for arguments in (
            ("predict", run, rows, "--out", tmp_path / "out.csv"),
            ("evaluate", run, rows),
            ("extend", run, tmp_path / "absent.yaml"),
        ):
            status, err = trunkline_command(*arguments)
            assert status == 2
            assert "error: " in err
            assert "Traceback" not in err
    status, err = trunkline_command("report", run, "--quick", "--out", tmp_path / "page.html")
    assert (status == 2) == (name in ("config.yaml", "encoder.json", "metrics.json", "curves.json"))
    if name in ("config.yaml", "encoder.json", "checkpoint/state.safetensors"):
        with pytest.raises(UserError):
            fit(trained_config(run), out=run, resume=True)
    assert not (tmp_path / "exploded").exists()


def trained_config(run):
    parts = {part: str(run.parent / f"{part}.parquet") for part in ("train", "valid")}
    for seed, path in enumerate(parts.values()):
        small_rows(seed=seed).write_parquet(path)
    return CONFIG | {"data": parts}


def test_the_bomb_is_one(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "one")))
    torch.save({"x": Bomb(tmp_path / "other")}, tmp_path / "saved")
    torch.load(tmp_path / "saved", weights_only=False)
    assert (tmp_path / "one").exists()
    assert (tmp_path / "other").exists()


def test_no_pickle_is_read_while_a_run_is_trained_resumed_extended_and_used(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a pickle was about to be read")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    with pytest.raises(AssertionError, match="pickle"):
        torch.load(io.BytesIO(b""))
    run = make_small_run(tmp_path)
    config = CONFIG | {"data": {part: str(tmp_path / f"{part}.parquet") for part in ("train", "valid")}}
    fit(config, out=run, resume=True, overrides={"training.epochs": 2})
    model = Model.load(run, device="cpu")
    model(small_rows(5))
    model.evaluate(small_rows(50))
    larger = {"tasks": {"late": {"kind": "binary", "label": "buy"}}, "training": {"epochs": 1, "device": "cpu"}}
    trunkline.extend(run, larger, train=small_rows(), valid=small_rows(seed=1))


UNSAFE = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


UNSAFE_CALLS = {"torch.load", "torch.save", "torch.jit.load", "eval", "exec", "yaml.load", "yaml.unsafe_load"}


def unsafe(tree):
    """What in a module could read code as data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] in UNSAFE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNSAFE:
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS:
            yield ast.unparse(node.func)
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            yield node.arg


def test_no_module_can_read_a_pickle():
    paths = sorted(Path(trunkline.__file__).parent.rglob("*.py"))
    assert len(paths) > 200
    found = {(path.name, name) for path in paths for name in unsafe(ast.parse(path.read_text()))}
    assert not found
    for text in ("import pickle", "from joblib import load", "torch.load(x)", "np.load(x, allow_pickle=True)"):
        assert list(unsafe(ast.parse(text)))


TENSORS = {
    "missing": (lambda t: t.pop("towers.subnets.0.1.bias"), "towers.subnets.0.1.bias is missing"),
    "extra": (lambda t: t.update(other=torch.ones(2)), "other is none of its tensors"),
    "longer": (lambda t: t.update({"towers.subnets.0.1.bias": torch.ones(2)}), "is F32 [2], not F32 [1]"),
    "a scalar": (lambda t: t.update({"towers.subnets.0.1.bias": torch.tensor(1.0)}), "is F32 [], not F32 [1]"),
    "float64": (lambda t: t.update({k: v.double() for k, v in t.items()}), "F64"),
    "integers": (lambda t: t.update({"towers.subnets.0.1.bias": torch.ones(1).long()}), "is I64 [1], not F32 [1]"),
    "float16": (lambda t: t.update({"towers.subnets.0.1.bias": torch.ones(1).half()}), "is F16 [1], not F32 [1]"),
    "float8": (
        lambda t: t.update({"towers.subnets.0.1.bias": torch.ones(1).to(torch.float8_e4m3fn)}),
        "not F32 [1]",
    ),
    "nan": (lambda t: t["towers.subnets.0.1.bias"].fill_(float("nan")), "towers.subnets.0.1.bias holds numbers that"),
    "infinite": (lambda t: t["towers.subnets.0.1.bias"].fill_(float("inf")), "are not finite"),
    "none": (lambda t: t.clear(), "is missing"),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_are_not_the_networks(run, name):
    change, words = TENSORS[name]
    edit_tensors(run / "model.safetensors", change)
    refused(run, "model.safetensors", words)


@pytest.mark.parametrize("name", [name for name in TENSORS if name not in ("nan", "infinite")])
def test_tensors_that_are_not_the_checkpoints(run, name):
    change, _ = TENSORS[name]

    def in_checkpoint(tensors):
        own = {key[len("network.") :]: tensor for key, tensor in tensors.items() if key.startswith("network.")}
        before = set(own)
        change(own)
        for key in before:
            del tensors[f"network.{key}"]
        tensors |= {f"network.{key}": tensor for key, tensor in own.items()}

    edit_tensors(run / "checkpoint" / "state.safetensors", in_checkpoint)
    with pytest.raises(UserError, match=r"state\.safetensors does not fit the network of its config"):
        fit(trained_config(run), out=run, resume=True)


HEADERS = {
    "beyond the file": lambda header, rest: struct.pack("<Q", 1 << 20) + b"{}",
    "no end": lambda header, rest: struct.pack("<Q", 2**64 - 1) + b"{}",
    "cut": lambda header, rest: struct.pack("<Q", 40),
    "short": lambda header, rest: b"\x01\x02",
    "nothing": lambda header, rest: b"",
    "no JSON": lambda header, rest: struct.pack("<Q", 9) + b"[[[[[[[[[" + rest,
    "deep": lambda header, rest: struct.pack("<Q", 1 << 20) + b"[" * (1 << 20) + rest,
    "a list": lambda header, rest: struct.pack("<Q", 2) + b"[]" + rest,
    "without facts": lambda header, rest: {k: v for k, v in header.items() if k != "__metadata__"},
    "facts of no JSON": lambda header, rest: header | {"__metadata__": {"trunkline": "{"}},
    "facts of another sort": lambda header, rest: header | {"__metadata__": {"trunkline": "[]"}},
    "deep facts": lambda header, rest: header | {"__metadata__": {"trunkline": "[" * 100_000}},
    "sigma of another sort": lambda header, rest: header | {"__metadata__": {"trunkline": '{"sigma": {"dwell": "x"}}'}},
    "sigma is NaN": lambda header, rest: header | {"__metadata__": {"trunkline": '{"sigma": {"dwell": NaN}}'}},
    "sigma is a list": lambda header, rest: header | {"__metadata__": {"trunkline": '{"sigma": [1]}'}},
    "overlapping": lambda header, rest: {
        k: v if k == "__metadata__" else v | {"data_offsets": [0, v["data_offsets"][1] - v["data_offsets"][0]]}
        for k, v in header.items()
    },
    "backwards": lambda header, rest: {
        k: v if k == "__metadata__" else v | {"data_offsets": v["data_offsets"][::-1]} for k, v in header.items()
    },
    "huge shapes": lambda header, rest: {
        k: v if k == "__metadata__" else v | {"shape": [2**62, 2**62]} for k, v in header.items()
    },
    "negative shapes": lambda header, rest: {
        k: v if k == "__metadata__" else v | {"shape": [-1]} for k, v in header.items()
    },
    "unknown types": lambda header, rest: {
        k: v if k == "__metadata__" else v | {"dtype": "OBJ"} for k, v in header.items()
    },
}


@pytest.mark.parametrize("file", ["model.safetensors", "checkpoint/state.safetensors"])
@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_are_none(run, file, name):
    path = run / file
    header, rest = header_and_rest(path)
    made = HEADERS[name](header, rest)
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        put_header(path, made, rest)
    if file == "model.safetensors":
        refused(run, "model.safetensors")
    elif not name.startswith("sigma"):
        with within(20, 400), pytest.raises(UserError, match=r"state\.safetensors"):
            tensors.read_tensors(path)


def test_a_key_that_stands_twice_in_a_header(run):
    path = run / "model.safetensors"
    header, rest = header_and_rest(path)
    first = next(name for name in header if name != "__metadata__")
    twice = json.dumps(header)[:-1] + ", " + json.dumps({first: header[first] | {"dtype": "I32"}})[1:]
    put_header(path, twice.encode(), rest)
    refused(run, "model.safetensors")


def test_a_header_of_100_megabytes_is_not_parsed(run):
    path = run / "model.safetensors"
    text = b'{"a":[' + b"[]," * 33_000_000 + b"[]]}"
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    refused(run, "no such file needs more")


@pytest.mark.parametrize("size", [10**10, 10**13])
def test_a_file_of_other_sizes_is_not_read(run, size):
    """Gigabytes and terabytes of nothing, which take no room on the disk."""
    path = run / "model.safetensors"
    header, rest = header_and_rest(path)
    last = max(end for name, one in header.items() if name != "__metadata__" for end in one["data_offsets"])
    header["more"] = {"dtype": "F32", "shape": [size // 4], "data_offsets": [last, last + size]}
    put_header(path, header, rest)
    try:
        os.truncate(path, path.stat().st_size + size)
    except OSError:
        pytest.skip("this file system holds no such file")
    refused(run, "model.safetensors", "more is none of its tensors" if size == 10**10 else "")


DEEP = "[" * 200_000 + "]" * 200_000
TEXTS = {
    "nothing": "",
    "cut": '{"columns": [',
    "deep": DEEP,
    "deep objects": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "null": "null",
    "a number": "7",
    "a list": "[]",
    "text": '"columns"',
    "NaN": "NaN",
    "twice": '{"columns": [], "columns": [], "labels": {}}',
    "no UTF-8": b"\xff\xfe{}",
    "a long number": "1" * 10_000,
    "too large a number": '{"columns": 1e999, "labels": {}}',
    "half a character": '{"columns": ["\\ud800"], "labels": {}}',
}


@pytest.mark.parametrize("file", ["encoder.json", "calibration.json"])
@pytest.mark.parametrize("name", TEXTS)
def test_json_that_is_none_of_ours(run, trunkline_command, file, name):
    text = TEXTS[name]
    (run / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert (run / file).name in refused(run)


def asked_to_decide(run, tmp_path, trunkline_command):
    """What a prediction with a decision says, whose run has files beside those that a model is loaded from."""
    rows, out = tmp_path / "rows.parquet", tmp_path / "out.csv"
    small_rows(9).write_parquet(rows)
    with within(20, 400):
        status, err = trunkline_command("predict", run, rows, "--out", out, "--decide", "click=f1")
    assert (status, out.exists()) == (2, False)
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("file", ["profile.json", "validation.safetensors"])
@pytest.mark.parametrize("name", TEXTS)
def test_what_only_predictions_read_is_none_of_ours(run, tmp_path, trunkline_command, file, name):
    text = TEXTS[name]
    (run / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert f"{file} cannot be read" in asked_to_decide(run, tmp_path, trunkline_command)


@pytest.mark.parametrize("file", ["profile.json", "validation.safetensors"])
@pytest.mark.parametrize("what", ["pickle", "pipe", "enormous", "link"])
def test_what_only_predictions_read_is_opened_with_care(run, tmp_path, trunkline_command, file, what):
    bomb = Bomb(tmp_path / "exploded")
    (run / file).unlink()
    match what:
        case "pickle":
            (run / file).write_bytes(pickle.dumps(bomb))
        case "pipe":
            os.mkfifo(run / file)
        case "enormous":
            with (run / file).open("wb") as opened:
                opened.truncate(10**12)
        case "link":
            (tmp_path / "outside").write_text("mine")
            (run / file).symlink_to(tmp_path / "outside")
    assert file in asked_to_decide(run, tmp_path, trunkline_command)
    assert not (tmp_path / "exploded").exists()


POINTS = {
    "no task": lambda tensors: tensors.pop("click.rows"),
    "no numbers": lambda tensors: tensors.update({"click.rows": tensors["click.rows"] * torch.nan}),
    "other types": lambda tensors: tensors.update({"click.rows": tensors["click.rows"].int()}),
    "other lengths": lambda tensors: tensors.update({"click.rows": tensors["click.rows"][1:]}),
    "no row": lambda tensors: tensors.update({"buy.negative": torch.zeros_like(tensors["buy.negative"])}),
}


@pytest.mark.parametrize("name", POINTS)
def test_points_that_none_were_measured(run, tmp_path, trunkline_command, name):
    edit_tensors(run / "validation.safetensors", POINTS[name])
    assert "validation.safetensors cannot be read" in asked_to_decide(run, tmp_path, trunkline_command)


def at(*places, value):
    """Put a value in a place of nested ones."""

    def change(found):
        for place in places[:-1]:
            found = found[place]
        found[places[-1]] = value

    return change


PAGES = {
    "a score of text": ("metrics.json", at("valid", "click", "auc", value="1")),
    "scores in a list": ("metrics.json", at("valid", value=[])),
    "no parameters": ("metrics.json", lambda found: found.pop("parameters")),
    "uncalibrated nothing": ("metrics.json", at("uncalibrated", value=None)),
    "half a curve": ("curves.json", lambda found: found["valid"]["click"].pop("precision_recall")),
    "no groups": ("curves.json", at("valid", "dwell", "calibration", "estimate", value=[])),
    "a confusion of text": ("curves.json", at("valid", "topic", "confusion", 0, value=["a"])),
    "labels of fewer parts": ("curves.json", lambda found: found["labels"].pop("valid")),
    "labels of fewer tasks": ("curves.json", lambda found: found["labels"]["valid"].pop("click")),
    "a column of no name": ("encoder.json", at("columns", 0, "name", value=[])),
    "a mean of no std": ("encoder.json", at("columns", 4, "std", value=None)),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_report_of_what_no_run_writes(run, trunkline_command, name):
    file, change = PAGES[name]
    value = json.loads((run / file).read_text())
    change(value)
    (run / file).write_text(json.dumps(value))
    status, err = trunkline_command("report", run, "--quick", "--out", run / "page.html")
    assert status == 2
    assert f"{file} holds what no run writes" in err


@pytest.mark.parametrize("file", ["metrics.json", "curves.json", "encoder.json"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_report_of_such_json(run, trunkline_command, file, name):
    text = TEXTS[name]
    (run / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    status, err = trunkline_command("report", run, "--quick", "--out", run / "page.html")
    assert status == 2
    assert file in err
    if file == "metrics.json":
        with pytest.raises(UserError, match=r"metrics\.json"):
            _ = Model.load(run, device="cpu").metrics


def test_enormous_json_is_not_parsed(run):
    with (run / "calibration.json").open("wb") as file:
        file.truncate(10**12)
    refused(run, "calibration.json", "more than")
    (run / "calibration.json").unlink()
    with (run / "encoder.json").open("wb") as file:
        file.truncate(10**12)
    refused(run, "encoder.json", "more than")


def column(name, /, **changes):
    def change(learned):
        next(one for one in learned["columns"] if one["name"] == name).update(changes)

    return change


def labels(task, /, **changes):
    return lambda learned: learned["labels"][task].update(changes)


ENCODERS = {
    "no columns": lambda learned: learned.update(columns=[]),
    "a column too few": lambda learned: learned["columns"].pop(4),
    "a column twice": lambda learned: learned["columns"].append(learned["columns"][4]),
    "columns of numbers": lambda learned: learned.update(columns=[1, 2]),
    "labels of no task": lambda learned: learned.update(labels={}),
    "labels of another task": lambda learned: learned["labels"].update(other=learned["labels"].pop("click")),
    "labels in a list": lambda learned: learned.update(labels=[]),
    "unknown kind": column("price", kind="pickle"),
    "kind of no text": column("price", kind=["numeric"]),
    "unknown field": column("price", other=1),
    "mean of text": column("price", mean="1"),
    "mean of truth": column("price", mean=True),
    "no std": column("price", std=0.0),
    "std below 0": column("price", std=-1.0),
    "quantiles that fall": column("price", quantiles=[1.0, 0.0]),
    "quantiles of text": column("price", quantiles=["a"]),
    "a number": column("price", quantiles=3.0),
    "indicator of text": column("price", indicator="yes"),
    "a name of no text": column("price", name=7),
    "no width": column("user", dim=0),
    "a huge width": column("user", dim=10**12),
    "a width of text": column("user", dim="8"),
    "a vocabulary of numbers": column("user", ids={"dtype": "String", "values": [1, 2]}),
    "a vocabulary of lists": column("user", ids={"dtype": "String", "values": [["a"]]}),
    "a vocabulary with nothing in it": column("user", ids={"dtype": "String", "values": [None]}),
    "a vocabulary of objects": column("user", ids={"dtype": "Object", "values": ["a"]}),
    "a vocabulary with a value twice": column("user", ids={"dtype": "String", "values": ["a", "a"]}),
    "a vocabulary of huge numbers": column("user", ids={"dtype": "Int64", "values": [2**80]}),
    "a vocabulary of text": column("user", ids={"dtype": "String", "values": "abc"}),
    "no ids": column("user", ids=None),
    "buckets for categories": column("user", ids={"buckets": 3, "salt": "user"}),
    "no buckets": column("item", ids={"buckets": 0, "salt": "item"}),
    "buckets below 0": column("item", ids={"buckets": -3, "salt": "item"}),
    "buckets without end": column("item", ids={"buckets": 2**31 - 3, "salt": "item"}),
    "buckets beyond ids": column("item", ids={"buckets": 2**40, "salt": "item"}),
    "a salt of no text": column("item", ids={"buckets": 16, "salt": None}),
    "no target": column("recent", target="nobody"),
    "target of numbers": column("recent", target="price"),
    "no length": column("recent", length=0),
    "a length of text": column("recent", length="2"),
    "an unknown pool": column("tags", pool="max"),
    "means without stds": column("taste", std=[]),
    "no means": column("taste", mean=[], std=[]),
    "cycles of no length": column("time", periods=[0.0]),
    "cycles of text": column("time", periods=["day"]),
    "no levels": labels("topic", levels=[]),
    "levels twice": labels("topic", levels=["art", "art", "news"]),
    "levels of several types": labels("topic", levels=["art", 1, "news"]),
    "levels of lists": labels("topic", levels=[["art"], ["news"], ["sport"]]),
    "more classes": labels("topic", classes=4),
    "classes of text": labels("topic", classes="3"),
    "no scale": labels("dwell", scale=0.0),
    "scale of text": labels("dwell", scale="1"),
    "mean below 0": labels("visits", mean=-1.0),
    "mean of a list": labels("visits", mean=[1.0]),
    "one level": labels("stars", values=[1], levels=[1]),
    "other levels": labels("stars", values=[1, 2, 3, 9]),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_that_no_rows_taught(run, name):
    edit_json(run / "encoder.json", ENCODERS[name])
    refused(run)


CALIBRATIONS = {
    "of no task": {"other": {"kind": "temperature", "factor": 1.0}},
    "of another kind of task": {"dwell": {"kind": "temperature", "factor": 1.0}},
    "a line of classes": {"topic": {"kind": "platt", "factor": 1.0, "shift": 0.0}},
    "a line that falls": {"click": {"kind": "platt", "factor": -1.0, "shift": 0.0}},
    "a line without a shift": {"click": {"kind": "platt", "factor": 1.0}},
    "isotonic of classes": {"topic": {"kind": "isotonic", "logits": [0.0], "corrected": [0.0]}},
    "of text": {"click": {"kind": "isotonic", "logits": ["a"], "corrected": ["b"]}},
    "of lists": {"click": {"kind": "isotonic", "logits": [[0.0]], "corrected": [[0.0]]}},
    "that falls": {"click": {"kind": "isotonic", "logits": [0.0, 1.0], "corrected": [1.0, 0.0]}},
    "of truth": {"click": {"kind": "temperature", "factor": True}},
    "of no factor": {"click": {"kind": "temperature"}},
    "with more": {"click": {"kind": "temperature", "factor": 1.0, "other": 1}},
    "of no kind": {"click": {}},
    "of a list": {"click": []},
}


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_calibrations_that_none_was_fitted(run, name):
    (run / "calibration.json").write_text(json.dumps(CALIBRATIONS[name]))
    refused(run, "calibration.json")


def laughs(levels=12):
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


CONFIGS = {
    "a tag that runs": "tasks: !!python/object/apply:os.system ['touch exploded']",
    "a tag that makes": "tasks: !!python/object/new:os.system ['touch exploded']",
    "a tag that names": "tasks: !!python/name:os.system ''",
    "a module": "tasks: !!python/module:os ''",
    "a billion laughs": laughs(),
    "a billion laughs in tasks": "tasks:\n" + "\n".join("  " + line for line in laughs().splitlines()),
    "an alias of itself": "tasks: &a {click: *a}",
    "a list of itself": "tasks: &a [*a]",
    "an alias of nothing": "tasks: *a",
    "a key twice": "tasks: {click: binary}\ntasks: {click: binary}",
    "a key that is a list": "{[a]: 1}",
    "a key that holds itself": "? &a [*a]\n: 1",
    "deep": "tasks: " + "[" * 50_000,
    "deep maps": "tasks: " + "{a: " * 50_000,
    "deep blocks": "".join(" " * i + "a:\n" for i in range(2000)),
    "no date": "tasks: {click: 2024-99-99}",
    "a long number": "tasks: " + "1" * 10_000,
    "binary": "tasks: !!binary '///'",
    "no binary": "tasks: !!binary '\u00e9'",
    "no time": "tasks: !!timestamp x",
    "no truth": "tasks: !!bool x",
    "no whole number": "tasks: !!int ''",
    "no number": "tasks: !!float ''",
    "a set": "tasks: !!set {a, b}",
    "a key of brackets": "'[': 1\ntasks: {click: binary}",
    "an option of no name": "tasks: {click: binary}\nnetwork: {sharing: {null: 1}}",
    "a set of text": "tasks: !!set a",
    "a map of a list": "tasks: !!map [a]",
    "merged text": "tasks: {<<: text}",
    "merged with itself": "tasks: &a {<<: *a}",
    "half a character": 'tasks: {"\\ud800": binary}',
    "a zero byte": "tasks: \x00",
    "several documents": "tasks: {click: binary}\n---\ntasks: {click: binary}",
    "keys of all sorts": "{1: 2, null: 3, 2024-01-01: 4, true: 5, tasks: {1: binary, null: binary}}",
    "not a number": "tasks: {click: binary}\noptimizer: {lr: .nan}",
    "a tracker that is code": "tasks: {click: binary}\ntraining: {trackers: [{kind: !!python/name:os.system ''}]}",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_that_are_more_than_data(run, trunkline_command, monkeypatch, name):
    monkeypatch.chdir(run)
    (run / "config.yaml").write_text(CONFIGS[name])
    message = refused(run, "config.yaml")
    assert len(message) < 20_000
    for command in (("report", run, "--quick"), ("diagnose", run), ("train", run / "config.yaml", "--out", "new")):
        status, err = trunkline_command(*command)
        assert status == 2
        assert "Traceback" not in err
    assert not (run / "exploded").exists()


def test_a_mapping_with_a_hundred_thousand_keys_is_read_in_time(run):
    keys = "\n".join(f"k{i}: 1" for i in range(20_000))
    (run / "config.yaml").write_text(keys)
    refused(run, "k19999")


def test_an_enormous_config_is_not_parsed(run):
    with (run / "config.yaml").open("wb") as file:
        file.truncate(10**12)
    refused(run, "config.yaml", "more than")


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"sharing": {"kind": "shared_bottom", "hidden": [10**6, 10**6]}}},
        {"network": {"sharing": {"kind": "shared_bottom", "hidden": [2**62, 2**62]}}},
        {"network": {"towers": {"hidden": [10**9]}}},
        {"balance": {"gradients": "moco", "at": "parameters"}},
    ],
)
def test_a_network_that_the_file_does_not_hold_is_given_no_memory(run, change):
    raw = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(raw | change))
    refused(run)


LINKS = [
    *("config.yaml", "encoder.json", "model.safetensors", "calibration.json", "metrics.json", "history.jsonl"),
    *("checkpoint", "checkpoint/state.safetensors", ".state.safetensors.partial", "tensorboard"),
]


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("relative", [True, False])
def test_links_that_lead_out_of_the_folder(run, tmp_path, trunkline_command, name, relative):
    outside, link = tmp_path / "outside" / Path(name).name, run / name
    outside.parent.mkdir()
    if link.exists():
        shutil.move(link, outside)
    else:
        outside.write_text("mine")
    link.symlink_to(os.path.relpath(outside, link.parent) if relative else outside)
    refused(run, "is a link to", name)
    rows = tmp_path / "rows.parquet"
    small_rows(9).write_parquet(rows)
    for command in (("report", run, "--quick"), ("predict", run, rows, "--out", tmp_path / "y.csv")):
        status, err = trunkline_command(*command)
        assert status == 2
        assert "is a link to" in err
    config = trained_config(run)
    with pytest.raises(UserError):
        fit(config, out=run, resume=True)


def test_links_within_the_folder_are_followed(run):
    (run / "model.safetensors").rename(run / "kept.safetensors")
    (run / "model.safetensors").symlink_to("kept.safetensors")
    (run.parent / "link").symlink_to(run)
    assert len(Model.load(run.parent / "link", device="cpu")(small_rows(3))) == 3


@pytest.mark.parametrize("name", OPENED)
@pytest.mark.parametrize("what", ["pipe", "folder", "circle", "device"])
def test_what_is_no_file_is_not_waited_for(run, name, what):
    (run / name).unlink()
    match what:
        case "pipe":
            os.mkfifo(run / name)
        case "folder":
            (run / name).mkdir()
        case "circle":
            (run / name).symlink_to(name)
        case "device":
            (run / name).symlink_to("/dev/zero")
    refused(run)


@pytest.fixture
def store(tmp_path, make_rows, settings):
    folder = tmp_path / "stores"
    make_rows().write_csv(tmp_path / "train.csv")
    config = settings | {"data": {"train": str(tmp_path / "train.csv"), "store": str(folder)}}
    config["training"]["epochs"] = 1
    model = fit(config)
    return config, folder, {name: tensor.clone() for name, tensor in model.network.state_dict().items()}


def damage_stores(folder, change):
    changed = []
    for meta in folder.rglob("meta.json"):
        value = json.loads(meta.read_text())
        made = change(value, meta.parent)
        meta.write_text(made if isinstance(made, str) else json.dumps(value))
        changed.append(meta.parent)
    assert changed
    return changed


STORES = {
    "deep": lambda meta, folder: "[" * 100_000,
    "nothing": lambda meta, folder: "",
    "a list": lambda meta, folder: "[]",
    "no arrays": lambda meta, folder: meta.update(arrays={}),
    "arrays in a list": lambda meta, folder: meta.update(arrays=[]),
    "objects": lambda meta, folder: meta["arrays"]["ids"].update(dtype="|O"),
    "another type": lambda meta, folder: meta["arrays"]["numbers"].update(dtype="<i4"),
    "another shape": lambda meta, folder: meta["arrays"]["ids"].update(shape=meta["arrays"]["ids"]["shape"][::-1]),
    "a huge shape": lambda meta, folder: meta["arrays"]["ids"].update(shape=[2**62, 2**62]),
    "a shape below 0": lambda meta, folder: meta["arrays"]["ids"].update(shape=[-1, -1]),
    "elsewhere": lambda meta, folder: meta["arrays"].update({"../ids": meta["arrays"]["ids"]}),
    "no facts": lambda meta, folder: meta.update(facts=[]),
    "shorter labels": lambda meta, folder: shorten(meta, folder, "label.0"),
    "labels in a number": lambda meta, folder: meta.update(labels=3),
    "lists without end": lambda meta, folder: meta.update(lists=10**9),
}


def shorten(meta, folder, name):
    array = meta["arrays"][name]
    (path,) = folder.glob(f"{name}.*")
    rows = array["shape"][0]
    path.write_bytes(path.read_bytes()[: path.stat().st_size * (rows - 1) // rows])
    array["shape"][0] -= 1


@pytest.mark.parametrize("name", STORES)
def test_damaged_stores_are_made_anew(store, name):
    config, folder, before = store
    for one in damage_stores(folder, STORES[name]):
        assert Store.open(one) is None
    after = fit(config).network.state_dict()
    assert all(after[key].equal(tensor) for key, tensor in before.items())


@pytest.mark.parametrize("change", [lambda text: "[" * 100_000, lambda text: text.replace('"std": ', '"std": -')])
def test_damaged_fits_are_made_anew(store, change):
    config, folder, before = store
    encoders = list(folder.rglob("encoder.json"))
    assert encoders
    for encoder in encoders:
        text = change(encoder.read_text())
        encoder.write_text(text)
        edit_json(encoder.with_name("facts.json"), lambda facts: facts.update(bytes=len(text.encode())))  # noqa: B023
    after = fit(config).network.state_dict()
    assert all(after[key].equal(tensor) for key, tensor in before.items())


LINES = {
    "a number": lambda lines: lines.__setitem__(0, 7),
    "no step": lambda lines: lines[0].pop("step"),
    "losses in a list": lambda lines: lines[0].update(losses=[]),
    "a loss of text": lambda lines: lines[0]["losses"].update(click="1"),
    "a loss without its weight": lambda lines: lines[0]["weights"].pop("click"),
    "gates without use": lambda lines: lines[0]["gates"]["gate.click"].pop("use"),
}


@pytest.mark.parametrize("name", LINES)
def test_a_report_of_a_history_that_no_run_writes(run, trunkline_command, name):
    lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    LINES[name](lines)
    (run / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    status, err = trunkline_command("report", run, "--quick", "--out", run / "page.html")
    assert status == 2
    assert "history.jsonl holds what no run writes" in err


STATES = {
    "no generator": lambda tensors, facts: tensors.pop("random.cpu"),
    "another generator": lambda tensors, facts: tensors.update({"random.cpu": torch.ones(3)}),
    "half a state": lambda tensors, facts: tensors.pop("optimizer0.0.exp_avg"),
    "another state": lambda tensors, facts: tensors.update({"optimizer0.0.step": torch.ones(3)}),
    "a state of nothing": lambda tensors, facts: tensors.update({"optimizer0.999.step": torch.tensor(1.0)}),
    "no scaler": lambda tensors, facts: facts.pop("scaler"),
    "no progress": lambda tensors, facts: facts.update(progress=[]),
    "steps of text": lambda tensors, facts: facts["progress"].update(step="1"),
    "steps below 0": lambda tensors, facts: facts["progress"].update(batch=-1),
    "steps without end": lambda tensors, facts: facts["progress"].update(step=10**300),
    "sums of other tasks": lambda tensors, facts: facts["progress"].update(sums=[[0.0], [0.0]]),
}


@pytest.mark.parametrize("name", STATES)
def test_checkpoints_that_no_training_wrote(run, name):
    path = run / "checkpoint" / "state.safetensors"
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["trunkline"])
    tensors = load_file(path)
    STATES[name](tensors, facts)
    save_file(tensors, path, metadata={"trunkline": json.dumps(facts)})
    with pytest.raises(UserError, match=r"state\.safetensors does not fit this training"):
        fit(trained_config(run), out=run, resume=True, overrides={"training.epochs": 2})


def test_nothing_is_written_through_a_link(run, tmp_path):
    (tmp_path / "mine").write_text("mine")
    for name in (".lock", "history.jsonl", ".config.yaml.partial"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(tmp_path / "mine")
        for how in ({"resume": True}, {"overwrite": True}):
            with pytest.raises(UserError, match="is a link to"):
                fit(trained_config(run), out=run, **how)
        assert (tmp_path / "mine").read_text() == "mine"
        (run / name).unlink()


def test_an_option_whose_name_is_no_text():
    with pytest.raises(UserError, match="must be text"):
        Config.make({"tasks": {"click": "binary"}, "network": {"sharing": {None: 1}}})
