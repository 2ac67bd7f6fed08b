import bz2
import gzip
import hashlib
import io
import tarfile
import zipfile

import polars as pl
import pytest

from trunkline.datasets import DATASETS, dataset
from trunkline.datasets.originals import Digest, Original, unpack
from trunkline.errors import UserError

PACK = {"": lambda content: content, ".gz": gzip.compress, ".bz2": bz2.compress}


def everything_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tar_of(files, mode="w:gz"):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode=mode) as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return raw.getvalue()


def zip_of(files):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(name, content)
    return raw.getvalue()


@pytest.mark.parametrize("suffix", PACK)
def test_packing_makes_no_difference(make, mirror, tmp_path, suffix):
    plain = make().write(tmp_path / "plain", mirror)
    for path in list(mirror.iterdir()):
        content = path.read_bytes()
        path.unlink()
        (mirror / f"{path.name}{suffix}").write_bytes(PACK[suffix](content))
    packed = make().write(tmp_path / "packed", mirror)
    for split in ("train", "valid", "test"):
        assert pl.read_parquet(plain[split]).equals(pl.read_parquet(packed[split]))
    assert set(everything_in(tmp_path / "packed")) == {"train.parquet", "valid.parquet", "test.parquet"}


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.gz in zip", "gz in zip"])
def test_archive_in_the_folder_will_do(make, mirror, tmp_path, kind):
    files = {f"deep/er/{name}": content for name, content in everything_in(mirror).items()}
    archive = {
        "zip": lambda: zip_of(files),
        "tar.gz": lambda: tar_of(files),
        "tar.gz in zip": lambda: zip_of({"inner.tar.gz": tar_of(files), "readme.txt": b"hello"}),
        "gz in zip": lambda: zip_of({f"{name}.gz": gzip.compress(files[name]) for name in files}),
    }[kind]()
    for path in mirror.iterdir():
        path.unlink()
    (mirror / "tiny.zip").write_bytes(archive)
    paths = make().write(tmp_path / "out", mirror)
    assert sum(pl.read_parquet(path).height for path in paths.values()) == 4


def test_every_wrong_file_is_named_and_nothing_is_written(make, mirror, tmp_path):
    (mirror / "left.csv").write_bytes(b"id,x\n1,11\n2,20\n3,30\n4,40\n")
    (mirror / "right.csv").write_bytes(b"id,label\n")
    with pytest.raises(UserError) as caught:
        make().write(tmp_path / "new" / "deeper", mirror)
    left, right = caught.value.problems
    assert "left.csv" in left
    assert "md5 " + hashlib.md5(b"id,x\n1,11\n2,20\n3,30\n4,40\n").hexdigest() in left
    assert "expected 25 bytes" in right
    assert "found 9 bytes" in right
    assert all("--from FOLDER" in problem for problem in (left, right))
    assert not (tmp_path / "new").exists()


def test_missing_and_wrong_files_are_named_together(make, mirror, tmp_path):
    (mirror / "left.csv").unlink()
    (mirror / "right.csv").write_bytes(b"?")
    with pytest.raises(UserError) as caught:
        make().write(tmp_path / "out", mirror)
    missing, wrong = caught.value.problems
    assert "left.csv" in missing
    assert "https://data.invalid/tiny.zip" in missing
    assert wrong.startswith(f"right.csv in {mirror} is not the published right.csv: ")
    assert not (tmp_path / "out").exists()


def test_cut_off_packed_file_is_refused(make, mirror, tmp_path):
    (mirror / "left.csv").unlink()
    (mirror / "left.csv.gz").write_bytes(gzip.compress(b"id,x\n1,10\n")[:-4])
    with pytest.raises(UserError, match=r"left\.csv\.gz in .*mirror is not a readable \.gz file"):
        make().write(tmp_path / "out", mirror)


@pytest.mark.parametrize(  # a ZIP file holds the time at which it was made: the name of a test must not
    "content", [b"", b"<html>not found</html>", zip_of({"a": b"b" * 99})[:60]], ids=["empty", "a page", "cut off"]
)
def test_unreadable_archive_is_refused(make, tmp_path, content):
    (tmp_path / "tiny.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"tiny\.zip is not a readable archive \(neither zip nor tar\).*--from FOLDER"):
        make().write(tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


def test_archive_with_another_hash_is_refused_before_it_is_opened(make, tmp_path):
    (tmp_path / "tiny.zip").write_bytes(b"not even a zip")
    tiny = make(archive=Original("tiny.zip", 14, Digest("md5", "0" * 32)))
    with pytest.raises(UserError, match=r"tiny\.zip is not the published tiny\.zip: expected .*0{32}"):
        tiny.write(tmp_path / "out", tmp_path)


def test_folder_that_is_none(make, tmp_path):
    with pytest.raises(UserError, match="nowhere is not a folder"):
        make().write(tmp_path / "out", tmp_path / "nowhere")


def test_target_that_is_a_file(make, mirror, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError, match="cannot write into"):
        make().write(tmp_path / "out", mirror)
    assert (tmp_path / "out").read_text() == "mine"


def test_archive_cannot_write_outside(tmp_path):
    (tmp_path / "evil.tar").write_bytes(tar_of({"../../left.csv": b"x", "other.csv": b"y"}, "w"))
    (tmp_path / "into").mkdir()
    unpack(tmp_path / "evil.tar", {"left.csv"}, tmp_path / "into", shown="it")
    assert set(everything_in(tmp_path)) == {"evil.tar", "into/left.csv"}


def test_writing_again_is_quiet_and_other_files_are_kept(make, mirror, tmp_path):
    out = tmp_path / "out"
    make().write(out, mirror)
    make().write(out, mirror)
    (out / "train.parquet").write_bytes(b"something of mine")
    pl.DataFrame({"mine": [1]}).write_parquet(out / "test.parquet")
    before = everything_in(out)
    with pytest.raises(UserError) as caught:
        make().write(out, mirror)
    assert len(caught.value.problems) == 2
    assert "train.parquet holds something else; pass --overwrite" in str(caught.value)
    assert everything_in(out) == before
    paths = make().write(out, mirror, overwrite=True)
    assert pl.read_parquet(paths["train"])["x"].to_list() == [10, 20]


def test_failing_half_way_writes_nothing(make, mirror, tmp_path):
    def two_good_tables_and_one_that_cannot_be_stored(_):
        return {"train": pl.DataFrame({"x": [1]}), "valid": pl.DataFrame({"x": [1]}), "test": None}

    with pytest.raises(AttributeError):
        make(prepare=two_good_tables_and_one_that_cannot_be_stored).write(tmp_path / "out", mirror)
    assert not (tmp_path / "out").exists()


def test_full_disk_is_told_and_nothing_is_written(make, mirror, tmp_path):
    def fill(_):
        raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"out could not be filled .*No space left"):
        make(prepare=fill).write(tmp_path / "out", mirror)
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_none_is_told_in_the_users_words(make, tmp_path):
    contents = {"left.csv": b"<html>", "right.csv": b"\0"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match="the originals of tiny cannot be read"):
        make(contents=contents).write(tmp_path / "out", tmp_path)


def test_git_blob_digest_is_gits(tmp_path):
    (tmp_path / "file").write_bytes(b"hello\n")
    # `git hash-object` of these six bytes.
    assert Digest("git-blob", "").of(tmp_path / "file") == "ce013625030ba8dba906f756967f9e9ca394464a"


def test_unknown_name_shows_the_table():
    with pytest.raises(UserError) as caught:
        dataset("census-incme")
    assert "did you mean 'census-income'?" in str(caught.value)
    for name, known in DATASETS.items():
        assert name == known.name
        assert dataset(name) is known
        assert name in str(caught.value)
        assert known.about in str(caught.value)
        assert known.licence.startswith("CC BY")
        assert known.url.startswith("https://")
        assert known.url.endswith(known.archive.name)
