import errno
import json
import os
import shutil
from dataclasses import replace

import polars as pl
import pytest

from trunkline.assembly.checks import check_config
from trunkline.assembly.tasks import build_features
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.preparation import data as data_module
from trunkline.preparation import fitting as fit_pass
from trunkline.preparation import store_folder as stores
from trunkline.preparation.data import check_files, prepare
from trunkline.preparation.store_folder import store_folder
from trunkline.tables import Batches, Encoder, Labels, Split, Store, cut, infer, read, source
from trunkline.tables.fingerprint import fingerprint, key_of
from trunkline.tables.source import Files
from trunkline.tables.store import named_arrays
from trunkline.tables.writer import Writer

SIZES = {"train": 240, "valid": 80, "test": 60}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Chunks of 50 rows: what spans chunks is seen with few rows."""
    monkeypatch.setattr(source, "CHUNK_ROWS", 50)
    monkeypatch.setattr(source, "CHUNK_BYTES", 1)


@pytest.fixture
def parts(make_rows):
    return {part: make_rows(n, seed=seed) for seed, (part, n) in enumerate(SIZES.items())}


@pytest.fixture
def raw(settings, parts, tmp_path):
    """A config whose rows lie in Parquet files, and whose stores lie beside them."""
    for part, frame in parts.items():
        frame.write_parquet(tmp_path / f"{part}.parquet", row_group_size=70)
    settings["data"] = {part: str(tmp_path / f"{part}.parquet") for part in SIZES}
    settings["data"]["store"] = str(tmp_path / "store")
    return settings


def make(raw, frames=None, *, fitted=None, **overrides):
    config = Config.make(raw, overrides=overrides)
    return prepare(config, check_config(config), build_features(config), frames or {}, fitted=fitted)


def assert_same(one, other):
    left, right = named_arrays(one), named_arrays(other)
    assert left.keys() == right.keys()
    assert list(one.labels) == list(other.labels)
    assert list(one.weights) == list(other.weights)
    for name in left:
        assert left[name].dtype == right[name].dtype
        assert left[name].tobytes() == right[name].tobytes(), name


def assert_same_data(one, other):
    assert one.encoder.to_json() == other.encoder.to_json()
    assert one.labels == other.labels
    assert one.features == other.features
    assert one.split == other.split
    assert list(one.stores) == list(other.stores)
    for part, store in one.stores.items():
        assert_same(store.rows, other.stores[part].rows)


@pytest.fixture
def unread(monkeypatch):
    """Whoever reads a row from now on fails."""

    def forbid():
        def refuse(*arguments, **options):
            raise AssertionError("rows were read")

        for name in ("chunks", "read", "count"):
            monkeypatch.setattr(Files, name, refuse)
        monkeypatch.setattr(Files, "frames", property(refuse))

    return forbid


def in_store(raw):
    return sorted(path.name for path in (stores.Path(raw["data"]["store"])).glob("*"))


@pytest.mark.parametrize("ending", ["parquet", "csv", "ipc"])
@pytest.mark.parametrize("features", ["given", "auto"])
@pytest.mark.parametrize("store", ["folder", "none"])
def test_files_are_encoded_as_frames_are(raw, parts, tmp_path, ending, features, store):
    for part, frame in parts.items():
        getattr(frame, f"write_{ending}")(tmp_path / f"{part}.{ending}")
        raw["data"][part] = str(tmp_path / f"{part}.{ending}")
    if features == "auto":
        raw["features"] = "auto"
    if store == "none":
        raw["data"]["store"] = "none"
    found = make(raw)
    frames = {part: read(raw["data"][part]) for part in SIZES}
    assert_same_data(found, make(raw, frames))
    assert {part: len(rows) for part, rows in found.stores.items()} == SIZES
    assert (tmp_path / "store").exists() == (store == "folder")


def test_one_chunk_is_the_whole_to_the_bit(raw, parts, monkeypatch):
    monkeypatch.setattr(source, "CHUNK_ROWS", 1000)
    found = make(raw)
    assert found.labels == Labels.fit(check_config(Config.make(raw)), parts["train"])
    assert found.encoder.to_json() == Encoder.fit(build_features(Config.make(raw)), parts["train"]).to_json()


@pytest.mark.parametrize("features", ["given", "auto"])
def test_the_second_time_nothing_is_read(raw, unread, features):
    if features == "auto":
        raw["features"] = "auto"
    first = make(raw)
    written = in_store(raw)
    assert len(written) == 4
    unread()
    again = make(raw)
    assert_same_data(first, again)
    assert in_store(raw) == written
    train = again.stores["train"]
    assert sum(len(batch) for batch in Batches(store=train, size=50).shuffled(0)) == 240


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer.lr": 0.5},
        {"training.batch_size": 7},
        {"training.seed": 3},
        {"tasks.buy.reads": ["click"]},
        {"tasks.topic.gradient": "stop"},
        {"network.dropout": 0.0},
        {"data.ignore": ["note"]},
    ],
)
def test_what_does_not_touch_the_rows_does_not_read_them(raw, unread, changes):
    first = make(raw)
    unread()
    again = make(raw, **changes)
    for part in SIZES:
        assert_same(first.stores[part].rows, again.stores[part].rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"features.user.min_count": 40},
        {"features.price.log": False},
        {"tasks.click.label": "buy", "tasks.buy.label": "click"},
        {"tasks.dwell.where": "buy"},
        {"tasks.dwell.weight": None},
        {"tasks.dwell.standardize": False},
        {"data.null_values": ["u1"]},
        {"data.train": "valid"},
    ],
)
def test_what_touches_the_rows_is_encoded_anew(raw, parts, changes):
    first = make(raw)
    if changes.get("data.train") == "valid":
        changes = {"data.train": raw["data"]["valid"]}
    written = in_store(raw)
    again = make(raw, **changes)
    if set(changes) != {"data.null_values"}:  # which Parquet knows none of
        assert again.labels != first.labels or any(
            named_arrays(again.stores["train"].rows)[name].tobytes() != array.tobytes()
            for name, array in named_arrays(first.stores["train"].rows).items()
        )
    assert set(in_store(raw)) > set(written)
    assert_same_data(make(raw), first)
    assert_same_data(make(raw, **changes), again)


def test_changed_values_in_a_file_of_the_same_size_and_time_are_seen(raw, parts, tmp_path):
    for part, frame in parts.items():
        frame.write_csv(tmp_path / f"{part}.csv")
        raw["data"][part] = str(tmp_path / f"{part}.csv")
    first = make(raw)
    path = tmp_path / "train.csv"
    state = path.stat()
    content = path.read_text()
    changed = content.replace("u1,", "u2,")
    assert len(changed) == len(content)
    path.write_text(changed)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    again = make(raw)
    assert not again.stores["train"].rows.ids.equal(first.stores["train"].rows.ids)
    assert_same_data(again, make(raw, {part: read(raw["data"][part]) for part in SIZES}))


def test_fingerprints_tell_files_apart(tmp_path):
    path = tmp_path / "rows.bin"
    for size in (0, 1, 10_000, 9 << 20):
        path.write_bytes(bytes(size))
        one = fingerprint([path])
        assert fingerprint([path]) == one
        for place in {0, size // 2, size - 1} if size <= 10_000 else {0, (1 << 20) - 1, size - 1}:
            changed = bytearray(size)
            if size:
                changed[place] = 1
                path.write_bytes(changed)
                os.utime(path, ns=(one[0]["mtime_ns"], one[0]["mtime_ns"]))
                assert fingerprint([path]) != one
        path.write_bytes(bytes(size))
    (tmp_path / "link.bin").symlink_to(path)
    assert fingerprint([tmp_path / "link.bin"]) == fingerprint([path])
    with pytest.raises(UserError, match=r"gone\.bin cannot be read"):
        fingerprint([path, tmp_path / "gone.bin"])
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})


@pytest.mark.parametrize("when", ["while it is fitted", "while it is encoded"])
@pytest.mark.parametrize("store", ["folder", "none"])
def test_a_file_that_changes_while_it_is_read_is_told_and_nothing_is_kept(raw, monkeypatch, parts, when, store):
    path = stores.Path(raw["data"]["train"])
    raw["data"] = {"train": str(path), "store": raw["data"]["store"] if store == "folder" else "none"}
    place = {"while it is fitted": (fit_pass.EncoderFitter, "see"), "while it is encoded": (Encoder, "encode")}[when]
    real, seen = getattr(*place), []

    def touch(self, frame):
        seen.append(frame)
        if len(seen) == 2:
            parts["train"].with_columns(price=pl.col("price") + 1).write_parquet(path)
        return real(self, frame)

    monkeypatch.setattr(*place, touch)
    with pytest.raises(UserError) as found:
        make(raw)
    assert any(f"{path} changed while it was being read" in problem for problem in found.value.problems)
    assert len(found.value.problems) == 1
    kept = [name for name in in_store(raw) if not (name.startswith("fit-") and when == "while it is encoded")]
    assert kept == []


@pytest.mark.parametrize("by", ["time", "group", "random"])
@pytest.mark.parametrize("given", [(), ("test",)])
def test_one_file_is_cut_as_one_frame_is(raw, parts, unread, by, given):
    column = {"time": "time", "group": "user", "random": None}[by]
    table = parts["train"].with_columns(user=pl.col("user").fill_null("u0"))
    table.write_parquet(raw["data"]["train"], row_group_size=37)
    raw["data"]["split"] = {"by": by, "column": column, "valid": 0.2, "test": 0.15, "seed": 3, "stratify": False}
    for part in ("valid", "test"):
        if part not in given:
            del raw["data"][part]
    found = make(raw)
    frames = {"train": table, **{part: parts[part] for part in given}}
    assert_same_data(found, make(raw, frames))
    shares = {"valid": 0.2, "test": 0.0 if given else 0.15}
    made, result = cut(read(table), Split(by=by, column=column, seed=3, **shares))
    assert found.split == result
    assert {part: len(store) for part, store in found.stores.items()} == {
        **result["rows"],
        **{part: len(parts[part]) for part in given},
    }
    assert_same(found.stores["valid"].rows, make(raw, {**made, "test": parts["test"]}).stores["valid"].rows)
    again = make(raw)
    unread()
    assert_same_data(make(raw), again)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ({"by": "time", "column": "tme"}, ["split by time: column 'tme' is not in the table", "did you mean 'time'"]),
        ({"by": "group", "column": "user"}, ["split by group: column 'user' is null in row "]),
        ({"by": "random", "valid": 0.001, "test": 0.0}, ["no row is left for valid"]),
    ],
)
def test_a_file_that_cannot_be_cut(raw, parts, split, words):
    del raw["data"]["valid"], raw["data"]["test"]
    raw["data"]["split"] = split
    with pytest.raises(UserError) as found:
        make(raw)
    with pytest.raises(UserError) as as_frame:
        make(raw, {"train": parts["train"]})
    path = raw["data"]["train"]
    assert found.value.problems == [f"{path}: {problem}" for problem in as_frame.value.problems]
    assert all(word in str(found.value) for word in words)


@pytest.mark.parametrize("damaged", ["ids.i4", "meta.json", "encoder.json", "facts.json"])
def test_what_is_damaged_is_made_again(raw, damaged):
    first = make(raw)
    folder = stores.Path(raw["data"]["store"])
    for path in folder.glob(f"*/{damaged}"):
        path.write_bytes(path.read_bytes()[:-3])
    written = in_store(raw)
    assert_same_data(make(raw), first)
    assert in_store(raw) == written
    for name in written:
        assert name.startswith("fit-") or Store.open(folder / name) is not None


def test_a_fit_of_before_goes_on_with_its_own_encoder(raw, unread, make_rows):
    first = make(raw)
    found = make(raw, fitted=(first.encoder, first.labels))
    assert_same_data(replace(found, features=first.features), first)
    raw["data"]["valid"] = raw["data"]["train"]
    found = make(raw, fitted=(first.encoder, first.labels))
    assert_same(found.stores["valid"].rows, first.stores["train"].rows)
    # other rows are encoded as the run began, not as they would be fitted
    other = stores.Path(raw["data"]["test"]).with_name("other.parquet")
    make_rows(90, seed=8).write_parquet(other)
    found = make(raw, fitted=(first.encoder, first.labels), **{"data.train": str(other)})
    assert found.encoder is first.encoder
    assert len(found.stores["train"]) == 90
    unread()
    make(raw, fitted=(first.encoder, first.labels), **{"data.train": str(other)})


def test_frames_and_files_mix(raw, parts):
    whole = make(raw)
    written = in_store(raw)
    found = make(raw, {"train": parts["train"]})
    assert_same_data(found, whole)
    assert in_store(raw) == written
    found = make(raw, {"valid": parts["valid"]})
    assert_same_data(found, whole)


def spoil(raw, part, *columns, drop=()):
    path = raw["data"][part]
    pl.read_parquet(path).drop(drop).with_columns(*columns).write_parquet(path)


LATE = pl.int_range(pl.len()) == 70


def test_problems_of_all_parts_come_at_once_with_their_rows(raw):
    spoil(raw, "valid", pl.when(LATE).then(2).otherwise("click").alias("click"))
    spoil(raw, "valid", pl.when(LATE).then(float("inf")).otherwise("price").alias("price"))
    spoil(raw, "test", drop=["user", "buy"])
    with pytest.raises(UserError) as found:
        make(raw)
    text = str(found.value)
    assert [problem.partition(":")[0] for problem in found.value.problems] == ["valid", "valid", "test", "test"]
    for words in ("'click' holds 2 in row 71", "'price' holds inf in row 71", "'user' is not in the table", "'buy'"):
        assert words in text
    assert len([name for name in in_store(raw) if not name.startswith("fit-")]) == 1, "train alone is whole"


def test_what_is_wrong_with_features_and_labels_comes_together(raw):
    spoil(raw, "train", pl.when(LATE).then(float("inf")).otherwise("price").alias("price"), pl.lit(1).alias("buy"))
    spoil(raw, "valid", pl.when(LATE).then(-1.0).otherwise("importance").alias("importance"))
    with pytest.raises(UserError) as found:
        make(raw)
    assert [problem.partition(":")[0] for problem in found.value.problems] == ["train", "train"]
    assert "'price' holds inf in row 71" in found.value.problems[0]
    assert "'buy' is constant" in found.value.problems[1]
    assert in_store(raw) == []
    spoil(raw, "train", pl.lit(1.0).alias("price"))
    spoil(raw, "train", pl.Series("buy", [0, 1] * 120))
    spoil(raw, "train", pl.lit("x").alias("price"))
    with pytest.raises(UserError) as found:
        make(raw)
    assert [problem.partition(":")[0] for problem in found.value.problems] == ["train", "valid"]
    assert "'importance' holds -1 in row 71" in found.value.problems[1]


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_missing_column_is_told_with_a_hint_and_before_all_is_read(raw, monkeypatch, part):
    path = stores.Path(raw["data"][part])
    pl.read_parquet(path).rename({"price": "prices", "topic": "topics"}).write_parquet(path)
    chunks, real = [], Files.chunks

    def counted(files, **options):
        for chunk in real(files, **options):
            if files.paths == [path]:
                chunks.append(chunk)
            yield chunk

    monkeypatch.setattr(Files, "chunks", counted)
    with pytest.raises(UserError) as found:
        make(raw)
    mine = [problem for problem in found.value.problems if problem.startswith(f"{part}: ")]
    assert mine == [
        f"{part}: {path}: feature column 'price' is not in the table; did you mean 'prices'?",
        f"{part}: {path}: task topic: label column 'topic' is not in the table; did you mean 'topics'?",
    ]
    assert len(chunks) <= 2


@pytest.mark.parametrize("content", ["cut", "none"])
def test_files_that_cannot_be_read_come_at_once_before_any_is_gone_through(raw, monkeypatch, content):
    for part in ("valid", "test"):
        path = stores.Path(raw["data"][part])
        path.write_bytes(path.read_bytes()[:-9] if content == "cut" else b"")
    monkeypatch.setattr(Files, "chunks", None)
    with pytest.raises(UserError) as found:
        make(raw)
    assert [problem.split(" cannot be read")[0] for problem in found.value.problems] == [
        raw["data"]["valid"],
        raw["data"]["test"],
    ]


def test_a_damaged_file_among_several_is_named(raw, parts, tmp_path):
    for i in range(3):
        parts["train"].write_parquet(tmp_path / f"part{i}.parquet", row_group_size=50)
    raw["data"]["train"] = str(tmp_path / "part*.parquet")
    bad = tmp_path / "part1.parquet"
    data = bad.read_bytes()
    bad.write_bytes(data[:500] + bytes(2000) + data[2500:])
    with pytest.raises(UserError, match=r"part1\.parquet cannot be read"):
        make(raw)
    assert in_store(raw) == []


def test_several_files_are_one_table(raw, parts, tmp_path):
    whole = make(raw)
    for i in range(5):
        parts["train"][i * 48 : (i + 1) * 48].write_parquet(tmp_path / f"part{i}.parquet")
    found = make(raw, **{"data.train": str(tmp_path / "part*.parquet")})
    assert_same_data(found, whole)
    assert {part: len(store) for part, store in found.stores.items()} == SIZES


def test_a_table_without_rows(raw):
    spoil(raw, "valid")
    pl.read_parquet(raw["data"]["valid"]).head(0).write_parquet(raw["data"]["valid"])
    with pytest.raises(UserError, match=r"valid\.parquet has no rows"):
        make(raw)
    with pytest.raises(UserError, match="valid: the table has no rows"):
        make(raw, {"valid": pl.DataFrame({"price": []})})


def test_without_training_rows(settings):
    with pytest.raises(UserError, match=r"data\.train is missing"):
        make(settings)


def test_a_full_disk_is_told_and_leaves_nothing(raw, monkeypatch):
    def full(self, batch):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("trunkline.tables.writer._FileArray.add", full)
    with pytest.raises(UserError) as found:
        make(raw)
    (problem,) = found.value.problems
    assert problem.startswith(f"encoded rows cannot be written to {raw['data']['store']}: No space left on device")
    assert "data.store" in problem
    assert all(name.startswith("fit-") for name in in_store(raw))
    assert_same_data(make(raw, **{"data.store": "none"}), make(raw, {}, **{"data.store": "none"}))


def test_an_interrupted_pass_leaves_nothing(raw, monkeypatch):
    real, seen = Writer.add, []

    def interrupted(self, batch):
        seen.append(batch)
        if len(seen) == 3:
            raise KeyboardInterrupt
        real(self, batch)

    monkeypatch.setattr(Writer, "add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make(raw)
    assert all(name.startswith("fit-") for name in in_store(raw))
    monkeypatch.undo()
    assert len(make(raw).stores["train"]) == 240


def test_where_stores_lie(monkeypatch, tmp_path):
    def folder(store=None):
        return store_folder(Config.make({"tasks": {"click": "binary"}, "data": {"store": store}}).data)

    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("TRUNKLINE_STORE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert folder() == tmp_path / "home" / ".cache" / "trunkline"
    assert folder().is_dir()
    assert folder("~/mine") == tmp_path / "home" / "mine"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert folder() == tmp_path / "cache" / "trunkline"
    monkeypatch.setenv("TRUNKLINE_STORE", str(tmp_path / "env"))
    assert folder() == tmp_path / "env"
    assert folder(str(tmp_path / "deep" / "own")) == tmp_path / "deep" / "own"
    assert folder("none") is None
    monkeypatch.setenv("TRUNKLINE_STORE", "none")
    assert folder() is None


def test_a_cache_that_cannot_be_made_is_done_without_but_not_one_that_was_asked_for(raw, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("TRUNKLINE_STORE", raising=False)
    del raw["data"]["store"]
    assert len(make(raw).stores["train"]) == 240
    asked = str(tmp_path / "file" / "a")
    for where in ("environment", "config"):
        monkeypatch.setenv("TRUNKLINE_STORE", asked if where == "environment" else "")
        raw["data"]["store"] = asked if where == "config" else None
        with pytest.raises(UserError, match=r"cannot be written to .*file/a: .*data\.store"):
            make(raw)


def test_features_are_inferred_as_from_a_frame(raw, parts):
    found = make({**raw, "features": "auto"})
    left_out = ["click", "dwell", "buy", "topic", "importance"]
    assert found.features == infer(parts["train"], leave_out=left_out)
    raw["data"]["ignore"] = ["price", "user"]
    assert [feature.name for feature in make({**raw, "features": "auto"}).features] == ["item", "returning", "time"]
    raw["data"]["ignore"] = ["price", "user", "item", "returning", "time"]
    with pytest.raises(UserError, match="auto found no usable column"):
        make({**raw, "features": "auto"})


def test_checking_files_reads_no_rows(raw, unread):
    unread()
    check_files(Config.make(raw).data, {})
    raw["data"]["valid"] = "absent.parquet"
    raw["data"]["test"] = "rows.xyz"
    with pytest.raises(UserError) as found:
        check_files(Config.make(raw).data, {})
    assert len(found.value.problems) == 2
    check_files(Config.make(raw).data, {"valid": pl.DataFrame(), "test": pl.DataFrame()})


def test_only_the_columns_that_are_needed_are_read(raw, parts, monkeypatch):
    parts["train"].with_columns(note=pl.lit("x"), more=pl.lit(1)).write_parquet(raw["data"]["train"])
    seen, real = [], Files.chunks

    def noted(files, **options):
        seen.append(options["columns"])
        return real(files, **options)

    monkeypatch.setattr(Files, "chunks", noted)
    make(raw)
    wanted = {"user", "item", "price", "returning", "time", "click", "dwell", "buy", "topic", "importance"}
    assert seen
    assert all(set(columns) == wanted for columns in seen)


def test_a_store_of_another_machine_is_no_other_store(raw, tmp_path):
    """What is copied is found: keys hold paths of rows, not of stores."""
    first = make(raw)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")
    assert_same_data(make(raw, **{"data.store": str(tmp_path / "copy")}), first)
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == in_store(raw)
    facts = json.loads(next((tmp_path / "copy").glob("*/meta.json")).read_text())["facts"]
    assert facts == {"split": None}


def test_the_public_names(raw):
    assert data_module.Data.__dataclass_fields__.keys() == {
        "encoder",
        "labels",
        "stores",
        "features",
        "split",
        "content",
    }
