import errno
import gc
import io
import json
import mmap
import multiprocessing
import os
import shutil
import signal
import sys
import time
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from trunkline.errors import UserError
from trunkline.nn.inputs import Ragged
from trunkline.tables import Batch, Batches, Store, staged, writer
from trunkline.tables.staged import ENDING
from trunkline.tables.store import named_arrays
from trunkline.tables.writer import Writer


def make(n, *, columns=3, numbers=2, lists=2, seed=0):
    draw = np.random.default_rng(seed)

    def ragged():
        lengths = draw.integers(0, 4, n)
        values = torch.from_numpy(draw.integers(0, 99, lengths.sum()).astype(np.int32))
        return Ragged(values, torch.from_numpy(np.r_[0, lengths.cumsum()].astype(np.int64)))

    return Batch(
        torch.from_numpy(draw.integers(0, 99, (n, columns)).astype(np.int32)),
        torch.from_numpy(draw.normal(size=(n, numbers)).astype(np.float32)),
        {"click": torch.from_numpy(draw.random(n).astype(np.float32)), "ü/..": torch.from_numpy(draw.random(n))},
        {"click": torch.from_numpy(draw.random(n).astype(np.float32))},
        tuple(ragged() for _ in range(lists)),
    )


def write(folder, batches, facts=None):
    with Writer(folder) as out:
        for batch in batches:
            out.add(batch)
        return out.done(facts)


def assert_same(one, other):
    left, right = named_arrays(one), named_arrays(other)
    assert left.keys() == right.keys()
    assert list(one.labels) == list(other.labels)
    assert list(one.weights) == list(other.weights)
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name])


def pieces(batch, cuts):
    return [batch.take(slice(a, b)) for a, b in pairwise([0, *cuts, len(batch)])]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("place", ["disk", "memory"])
@pytest.mark.parametrize("cuts", [[], [1], [10, 10, 35], [0, 49]])
@pytest.mark.parametrize(
    "shape", [{}, {"columns": 0}, {"numbers": 0, "lists": 1}, {"columns": 0, "numbers": 1, "lists": 0}]
)
def test_rows_come_back_however_they_came(tmp_path, place, cuts, shape):
    whole = make(50, **shape)
    folder = tmp_path / "deep" / "key" if place == "disk" else None
    store = write(folder, pieces(whole, cuts), {"split": {"rows": 3}, "text": "ü"})
    assert_same(store.rows, whole)
    assert store.facts == {"split": {"rows": 3}, "text": "ü"}
    assert len(store) == 50
    assert store.bytes == sum(array.nbytes for array in named_arrays(whole).values())
    if folder is not None:
        opened = Store.open(folder)
        assert_same(opened.rows, whole)
        assert opened.facts == store.facts
        assert names(folder.parent) == ["key"]
        opened.release()
        assert_same(opened.rows, whole)


def test_empty_lists_and_no_tasks(tmp_path):
    nothing = Ragged(torch.empty(0, dtype=torch.int32), torch.zeros(4, dtype=torch.int64))
    whole = Batch(torch.empty(3, 0, dtype=torch.int32), torch.empty(3, 0), {}, {}, (nothing,))
    assert_same(write(tmp_path / "key", [whole]).rows, whole)
    assert len(Store.open(tmp_path / "key")) == 3


def test_mapped_rows_are_batches_like_any_other(tmp_path):
    whole = make(5000)
    mapped, memory = write(tmp_path / "key", [whole]), Store.of(whole)
    for one, other in zip(
        Batches(store=mapped, size=300, seed=4).shuffled(1),
        Batches(store=memory, size=300, seed=4).shuffled(1),
        strict=True,
    ):
        assert_same(one, other)


def test_opening_warns_of_nothing_even_where_files_can_only_be_read(tmp_path, monkeypatch):
    whole = make(20)
    write(tmp_path / "key", [whole])
    real = mmap.mmap

    def only_read(*arguments, access):
        if access == mmap.ACCESS_COPY:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return real(*arguments, access=access)

    for mapping in (real, only_read):
        monkeypatch.setattr("trunkline.tables.store.mmap.mmap", mapping)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert_same(Store.open(tmp_path / "key").rows, whole)


def test_what_is_written_to_mapped_rows_is_not_kept(tmp_path):
    whole = make(20)
    store = write(tmp_path / "key", [whole])
    store.rows.ids.zero_()
    assert_same(Store.open(tmp_path / "key").rows, whole)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_rows_let_go_of_their_memory(tmp_path):
    def resident():
        with open("/proc/self/smaps", encoding="ascii") as file:
            lines = file.read().split("ids.i4\n")[1].splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:"))

    store = write(tmp_path / "key", [make(1_000_000, lists=0)])
    store.rows.ids.sum()
    assert resident() > 10_000
    store.release()
    assert resident() < 100
    assert sum(len(batch) for batch in Batches(store=store, size=10_000).shuffled(0)) == 1_000_000
    assert resident() < 100


@pytest.mark.parametrize(
    "damage", ["cut", "longer", "gone", "no meta", "no json", "json", "format", "offsets", "shape"]
)
def test_a_damaged_store_is_none_and_is_written_again(tmp_path, damage):
    folder, whole = tmp_path / "key", make(30)
    write(folder, [whole])
    ids, meta = folder / "ids.i4", folder / "meta.json"
    raw = json.loads(meta.read_text())
    if damage == "cut":
        ids.write_bytes(ids.read_bytes()[:-1])
    elif damage == "longer":
        ids.write_bytes(ids.read_bytes() + b"0")
    elif damage == "gone":
        ids.unlink()
    elif damage == "no meta":
        meta.unlink()
    elif damage == "no json":
        meta.write_bytes(meta.read_bytes()[:-20])
    elif damage == "json":
        meta.write_text("[]")
    elif damage == "format":
        meta.write_text(json.dumps({**raw, "format": 0}))
    elif damage == "shape":
        raw["arrays"]["ids"]["shape"] = [90]
        meta.write_text(json.dumps(raw))
        ids.write_bytes(b"")
    else:
        offsets = np.fromfile(folder / "list.1.offsets.i8")
        offsets[-1] += 1
        offsets.tofile(folder / "list.1.offsets.i8")
    assert Store.open(folder) is None
    assert_same(write(folder, [whole]).rows, whole)
    assert_same(Store.open(folder).rows, whole)
    assert names(tmp_path) == ["key"]


def test_there_is_nothing_to_open(tmp_path):
    assert Store.open(tmp_path / "key") is None
    (tmp_path / "file").write_text("")
    assert Store.open(tmp_path / "file") is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, UserError])
def test_an_interrupted_writer_leaves_nothing(tmp_path, error):
    def batches():
        yield make(10)
        yield make(10)
        raise error("stop")

    with pytest.raises(error):
        write(tmp_path / "key", batches())
    assert names(tmp_path) == []


def test_rows_of_another_shape_do_not_go_on():
    with pytest.raises(ValueError, match="does not go on"):
        write(None, [make(3), make(3, columns=4)])
    with pytest.raises(ValueError, match="do not go on"):
        write(None, [make(3), make(3, lists=1)])


class FullDisk(io.BufferedWriter):
    """A file on a disk that fills up."""

    room = 10_000

    def write(self, data):
        FullDisk.room -= len(memoryview(data).cast("B"))
        if FullDisk.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("room", [0, 500, 10_000])
def test_a_full_disk_is_told_with_what_to_do(tmp_path, monkeypatch, room):
    def open_full(path, mode="r", **options):
        return FullDisk(io.FileIO(path, "w")) if mode == "wb" else real(path, mode, **options)

    real = type(tmp_path).open
    monkeypatch.setattr(FullDisk, "room", room)
    monkeypatch.setattr(type(tmp_path), "open", open_full)
    with pytest.raises(UserError) as found:
        write(tmp_path / "key", (make(100) for _ in range(50)))
    monkeypatch.undo()
    for words in (str(tmp_path), "No space left on device", "GB are free", "data.store", "store: none"):
        assert words in str(found.value)
    assert names(tmp_path) == []


def test_a_disk_that_is_full_at_the_end_is_told_too(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer.os, "fsync", fail)
    with pytest.raises(UserError, match="No space left"):
        write(tmp_path / "key", [make(10)])
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"cannot be written to .*file: .*data\.store"):
        write(tmp_path / "file" / "key", [make(3)])
    assert (tmp_path / "file").read_text() == "mine"


def write_at_once(folder, barrier, results, seed):
    """In another process: one of several writers of the same store."""
    with Writer(folder) as out:
        for batch in pieces(make(2000), [500 * seed, 1500]):
            out.add(batch)
        barrier.wait(60)
        store = out.done({"seed": seed})
    results.put((seed, store.facts["seed"], int(store.rows.ids.sum())))


def test_two_processes_write_the_same_store_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    writers = [
        context.Process(target=write_at_once, args=(tmp_path / "key", barrier, results, seed)) for seed in (1, 2)
    ]
    for one in writers:
        one.start()
    found = [results.get(timeout=120) for _ in writers]
    for one in writers:
        one.join(60)
    assert [one.exitcode for one in writers] == [0, 0]
    assert len({winner for _, winner, _ in found}) == 1
    assert {total for *_, total in found} == {int(make(2000).ids.sum())}
    assert_same(Store.open(tmp_path / "key").rows, make(2000))
    assert names(tmp_path) == ["key"]


def write_forever(folder, ready):
    """In another process: a writer that gets killed."""
    with Writer(folder) as out:
        while True:
            out.add(make(1000))
            ready.set()


def test_what_a_killed_writer_leaves_is_neither_read_nor_kept(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=write_forever, args=(tmp_path / "key", ready))
    process.start()
    try:
        assert ready.wait(120)
        write(tmp_path / "other", [make(5)])
        assert len(names(tmp_path)) == 2, "a living writer's folder was removed"
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.join(60)
    left = [name for name in names(tmp_path) if name.endswith(ENDING)]
    assert len(left) == 1
    assert Store.open(tmp_path / "key") is None
    assert_same(write(tmp_path / "key", [make(7)]).rows, make(7))
    assert names(tmp_path) == ["key", "other"]


def test_two_writers_in_one_process(tmp_path):
    with Writer(tmp_path / "key") as one, Writer(tmp_path / "key") as other, Writer(tmp_path / "third") as third:
        for out in (one, other, third):
            out.add(make(9))
        first, second = one.done({"number": 1}), other.done({"number": 2})
    assert (first.facts, second.facts) == ({"number": 1}, {"number": 1})
    assert names(tmp_path) == ["key"]


def test_a_damaged_store_is_replaced_while_somebody_reads_it(tmp_path):
    reader = write(tmp_path / "key", [make(40)])
    (tmp_path / "key" / "meta.json").write_text("")
    write(tmp_path / "key", [make(40, seed=1)])
    assert_same(reader.rows, make(40))
    assert_same(Store.open(tmp_path / "key").rows, make(40, seed=1))


@pytest.mark.parametrize(("age", "stays"), [(10, True), (3 * 24 * 3600, False)])
def test_where_there_are_no_locks_age_tells_what_is_left_over(tmp_path, monkeypatch, age, stays):
    monkeypatch.setattr(staged, "fcntl", None)
    left = tmp_path / f"key.0{ENDING}"
    left.mkdir()
    (left / "ids.i4").write_bytes(b"1234")
    then = time.time() - age
    for path in (left / "ids.i4", left):
        os.utime(path, (then, then))
    assert_same(write(tmp_path / "key", [make(4)]).rows, make(4))
    assert left.exists() == stays


def test_a_folder_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    swept, lock = [], staged._lock

    def late(folder, **options):
        if not swept and options.get("wait", True):
            swept.append(folder)
            shutil.rmtree(folder)
        return lock(folder, **options)

    monkeypatch.setattr(staged, "_lock", late)
    assert_same(write(tmp_path / "key", [make(4)]).rows, make(4))
    assert swept
    assert names(tmp_path) == ["key"]


def test_a_store_lets_go_of_its_files(tmp_path):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("reads /proc")
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for i in range(3):
        write(tmp_path / f"{i}", [make(5)])
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before
