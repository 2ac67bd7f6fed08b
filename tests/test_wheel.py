"""The wheel, as a stranger gets it: built from the sources' archive, installed where only what it asks for is.

The environment is clean without a download: it holds links to the installed distributions that the wheel's own
metadata ask for, and theirs in turn, and nothing else. An import that nobody declared fails there.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SHIPPED = ["pyproject.toml", "README.md", "LICENSE"]
FIT = """
import sys
from pathlib import Path
import polars as pl
import trunkline

assert Path(trunkline.__file__).is_relative_to(sys.prefix), trunkline.__file__
rows = pl.DataFrame({"x": [0.0, 1.0] * 5, "user": ["a", "b", "a", "c", "a"] * 2, "click": [0, 1] * 5})
config = {"tasks": {"click": "binary"}, "training": {"epochs": 2, "batch_size": 4, "device": "cpu"}}
estimates = trunkline.fit(config, train=rows, valid=rows)(rows)
assert estimates["click"].is_between(0, 1).all()
"""


def run(*command, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment | {"COLUMNS": "200", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The sources' archive and the wheel that is made from it, from a copy without any trace of earlier builds."""
    folder = tmp_path_factory.mktemp("built")
    sources = folder / "sources"
    shutil.copytree(ROOT / "src", sources / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in SHIPPED:
        shutil.copy(ROOT / name, sources)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", folder=sources)
    (archive,) = (folder / "dist").glob("*.tar.gz")
    (wheel,) = (folder / "dist").glob("*.whl")
    return archive, wheel


def needed(requirements):
    """The names of those that this machine needs, without what only an extra asks for."""
    parsed = [Requirement(text) for text in requirements]
    return [canonicalize_name(one.name) for one in parsed if one.marker is None or one.marker.evaluate({"extra": ""})]


def wanted(wheel):
    """The distributions that the wheel's metadata ask for, and theirs in turn."""
    found, rest = set(), needed(required(wheel))
    while rest:
        name = rest.pop()
        if name not in found:
            found.add(name)
            rest += needed(distribution(name).requires or ())
    return found


def required(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(path).decode().partition("\n\n")[0].splitlines()
    return [line.removeprefix("Requires-Dist: ") for line in lines if line.startswith("Requires-Dist: ")]


@pytest.fixture(scope="module")
def clean(built, tmp_path_factory):
    """The environment's Python."""
    folder = tmp_path_factory.mktemp("clean") / "environment"
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    (packages,) = folder.glob("lib/python*/site-packages")
    for name in wanted(built[1]):
        found = distribution(name)
        for top in {Path(file).parts[0] for file in found.files} - {"..", "__pycache__"}:
            if not (packages / top).exists():
                (packages / top).symlink_to(found.locate_file(top))
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", built[1], folder=folder)
    run(*pip, "check", folder=folder)
    return python


def test_both_hold_every_module_and_what_goes_with_them(built):
    archive, wheel = built
    there = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "trunkline").rglob("*.py")}
    there.add("trunkline/py.typed")
    with zipfile.ZipFile(wheel) as opened:
        names = {*opened.namelist()}
        (licence,) = (name for name in names if name.endswith(".dist-info/licenses/LICENSE"))
        assert opened.read(licence) == (ROOT / "LICENSE").read_bytes()
    assert {name for name in names if ".dist-info/" not in name} == there
    with tarfile.open(archive) as opened:
        packed = {name.partition("/")[2] for name in opened.getnames()}
    assert {f"src/{name}" for name in there} | {*SHIPPED} <= packed


def test_it_works_where_nothing_else_is_installed(clean, tmp_path):
    look = "from importlib.util import find_spec; print(find_spec('sklearn'), find_spec('pytest'))"
    assert run(clean, "-c", look, folder=tmp_path).split() == ["None", "None"]
    version = run(clean.parent / "trunkline", "--version", folder=tmp_path)
    assert distribution("trunkline").version in version
    run(clean, "-c", FIT, folder=tmp_path)


def test_a_table_becomes_a_config_there(clean, tmp_path):
    draw = np.random.default_rng(0)
    rows = {"price": [f"{x:.2f} €" for x in draw.normal(20, 3, 40)], "bought": draw.choice(["Yes", "No"], 40)}
    pl.DataFrame(rows).write_csv(tmp_path / "rows.csv")
    run(clean.parent / "trunkline", "init", "rows.csv", "--task", "bought", "-o", "shop.yaml", folder=tmp_path)
    assert "positive: 'Yes'" in (tmp_path / "shop.yaml").read_text()
