import hashlib
import os
from pathlib import Path

import polars as pl
import pytest

from trunkline.datasets.base import Dataset
from trunkline.datasets.originals import Digest, Original

CONTENTS = {"left.csv": b"id,x\n1,10\n2,20\n3,30\n4,40\n", "right.csv": b"id,label\n1,0\n2,1\n3,0\n4,1\n"}


def _prepare(originals):
    table = pl.read_csv(originals["left.csv"]).join(pl.read_csv(originals["right.csv"]), on="id")
    return {"train": table[:2], "valid": table[2:3], "test": table[3:]}


def original(name, content):
    return Original(name, len(content), Digest("md5", hashlib.md5(content).hexdigest()))


@pytest.fixture
def make():
    """A two-file data set; any field can be replaced."""

    def make(*, url="https://data.invalid/tiny.zip", archive="tiny.zip", prepare=_prepare, contents=CONTENTS):
        return Dataset(
            name="tiny",
            about="four rows",
            licence="none",
            url=url,
            archive=archive if isinstance(archive, Original) else Original(archive),
            editions=(tuple(original(*item) for item in contents.items()),),
            prepare=prepare,
        )

    return make


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def real_data():
    """The folder with census_income_kdd/ and kuairand_pure_window/."""
    if not (named := os.environ.get("TRUNKLINE_DATA")):
        pytest.skip("TRUNKLINE_DATA does not name a folder with the real data")
    return Path(named)
