"""CONTRIBUTING.md, followed to the letter: its files are written, installed beside trunkline and trained with."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

ROOT = Path(__file__).parents[1]


def recipe_files():
    """The files of the recipes by their names, which stand in each one's first line."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w+\n# (\S+)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return dict(blocks)


def install(folder, project, *, entries=None, requires=None):
    """What pip leaves of a package: where it comes from, what it needs and what it offers."""
    name, version = project["name"], project["version"]
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir()
    needed = project.get("dependencies", []) if requires is None else requires
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {one}" for one in needed)]
    (place / "METADATA").write_text("\n".join(lines) + "\n")
    offered = project.get("entry-points", {}) if entries is None else entries
    groups = (f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in each.items()) for group, each in offered.items())
    (place / "entry_points.txt").write_text("\n".join(groups) + "\n")


def run(folder, *command):
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def package(tmp_path):
    """The recipes' files, not yet installed, and rows to train on."""
    files = recipe_files()
    assert {"pyproject.toml", "test_feedkit.py", "feedkit.yaml"} < files.keys()
    assert sum(name.startswith("feedkit/") for name in files) == 6
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    draw = np.random.default_rng(0)
    x = draw.normal(size=200)
    rows = {"x": x, "click": (x + draw.normal(size=200) > 0).astype(int), "dwell": 20 + 5 * x + draw.normal(size=200)}
    rows["opened"] = [f"{hour:02}:{minute:02}" for hour, minute in draw.integers([24, 60], size=(200, 2))]
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    return tmp_path


def project(package):
    return tomllib.loads((package / "pyproject.toml").read_text())["project"]


def test_the_recipes_pass_their_suites_train_and_are_loaded_again(package):
    install(package, project(package))
    done = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_feedkit.py")
    assert done.returncode == 0, done.stdout
    done = run(package, "-m", "trunkline", "train", "feedkit.yaml", "--out", "run", "--quiet")
    assert done.returncode == 0, done.stderr
    done = run(package, "-m", "trunkline", "predict", "run", "rows.parquet", "-o", "estimates.parquet")
    assert done.returncode == 0, done.stderr
    scores = json.loads((package / "run" / "metrics.json").read_text())["valid"]["click"]
    assert 0 < scores["brier"] < 1
    assert pl.read_parquet(package / "estimates.parquet")["dwell"].is_between(-50, 100).all()
    done = run(package, "-m", "trunkline", "schema")
    assert all(f'"{name}"' in done.stdout for name in ("largest", "shortest", "log_cosh", "skip", "clock", "brier"))


def test_without_the_package_its_run_says_what_is_missing(package):
    install(package, project(package))
    assert run(package, "-m", "trunkline", "train", "feedkit.yaml", "--out", "run", "--quiet").returncode == 0
    before = {path.name: path.read_bytes() for path in (package / "run").iterdir() if path.is_file()}
    (package / "feedkit-1.0.dist-info" / "entry_points.txt").unlink()
    done = run(package, "-m", "trunkline", "predict", "run", "rows.parquet", "-o", "estimates.parquet")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "is unknown; is it of a package that is not installed?" in done.stderr
    assert {path.name: path.read_bytes() for path in (package / "run").iterdir() if path.is_file()} == before


def test_a_run_predicts_without_what_only_trained_it(package):
    install(package, project(package))
    plain = (
        (package / "feedkit.yaml")
        .read_text()
        .replace("log_cosh", "regression")
        .replace("{kind: clock, turns: 2}", "categorical")
    )
    (package / "plain.yaml").write_text(
        plain.replace("{kind: skip, hidden: [8]}", "{kind: shared_bottom, hidden: [8]}")
    )
    done = run(package, "-m", "trunkline", "train", "plain.yaml", "--out", "run", "--quiet")
    assert done.returncode == 0, done.stderr
    (package / "feedkit-1.0.dist-info" / "entry_points.txt").unlink()
    done = run(package, "-m", "trunkline", "predict", "run", "rows.parquet", "-o", "estimates.parquet")
    assert done.returncode == 0, done.stderr


def test_a_constructor_that_raises_is_told_with_its_options(package):
    install(package, project(package))
    path = package / "feedkit" / "largest.py"
    path.write_text(path.read_text().replace("self.share = share", "self.share = {0.2: 1}[1 - share]"))
    done = run(package, "-m", "trunkline", "train", "feedkit.yaml", "--out", "run", "--quiet")
    assert done.returncode == 2
    assert "'largest' (feedkit.largest.Largest) cannot be made with share=0.2: KeyError: 0.8" in done.stderr


OBJECTIVE = "trunkline.objectives"
BAD = {
    "raises on import": (
        {OBJECTIVE: {"largest": "feedkit.broken:Largest"}},
        None,
        r"method 'largest' of feedkit 1\.0 .* cannot be imported: RuntimeError: no luck; upgrade or uninstall",
    ),
    "is not there": ({OBJECTIVE: {"largest": "feedkit.gone:Largest"}}, None, "cannot be imported: ModuleNotFoundError"),
    "has a name of ours": (
        {OBJECTIVE: {"sum": "feedkit.largest:Largest", "largest": "feedkit.largest:Largest"}},
        None,
        r"method 'sum' is trunkline's own, and feedkit 1\.0 offers another one under that name; uninstall",
    ),
    "lacks a keyword": (
        {OBJECTIVE: {"largest": "feedkit.lacking:NoTasks"}},
        None,
        r"'largest' of feedkit 1\.0 cannot be used: it has a constructor without tasks; ask for another version",
    ),
    "takes anything": (
        {OBJECTIVE: {"largest": "feedkit.lacking:Anything"}},
        None,
        r"constructor with \*args, \*\*kwargs",
    ),
    "lacks a method": (
        {OBJECTIVE: {"largest": "feedkit.lacking:NoMerge"}},
        None,
        "cannot be used: it does not define merge",
    ),
    "is of another sort": (
        {OBJECTIVE: {"largest": "feedkit.skip:Skip"}},
        None,
        r"does not derive from trunkline\.balance\.base\.ObjectiveBalancer",
    ),
    "is no class": ({OBJECTIVE: {"largest": "feedkit.lacking:number"}}, None, "is no class but int"),
    "is of another major version": (
        None,
        ["trunkline>=7"],
        r"was made for trunkline >=7, this is 0\.1\.0; upgrade feedkit",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_bad_plug_in_is_one_message_and_leaves_the_run_folder_alone(package, fault):
    entries, requires, said = BAD[fault]
    others = {} if entries is None else project(package)["entry-points"] | entries
    install(package, project(package), entries=others or None, requires=requires)
    (package / "feedkit" / "broken.py").write_text("raise RuntimeError('no luck')\n")
    (package / "feedkit" / "lacking.py").write_text(
        "from trunkline.balance import ObjectiveBalancer\nnumber = 3\n"
        "class NoTasks(ObjectiveBalancer):\n    def __init__(self):\n        super().__init__(1)\n"
        "    def merge(self, losses, active):\n        return losses.sum()\n"
        "class Anything(ObjectiveBalancer):\n    def __init__(self, tasks, **some):\n        super().__init__(tasks)\n"
        "    def merge(self, losses, active):\n        return losses.sum()\n"
        "class NoMerge(ObjectiveBalancer):\n    pass\n"
    )
    name = "sum" if "sum" in (entries or {}).get(OBJECTIVE, {}) else "largest"
    sets = ["--set", f"balance.objective={name}"]
    done = run(package, "-m", "trunkline", "train", "feedkit.yaml", "--out", "run", "--quiet", *sets)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert re.search(said, done.stderr), done.stderr
    assert not (package / "run").exists()


def test_two_packages_with_one_name_are_both_named(package):
    install(package, project(package))
    install(
        package, {"name": "otherkit", "version": "2.0"}, entries={OBJECTIVE: {"largest": "feedkit.largest:Largest"}}
    )
    done = run(package, "-m", "trunkline", "train", "feedkit.yaml", "--out", "run", "--quiet")
    assert done.returncode == 2
    assert "'largest' is offered by" in done.stderr
    assert "feedkit 1.0" in done.stderr
    assert "otherkit 2.0" in done.stderr


def test_a_class_registered_by_a_program_is_found_and_a_taken_name_refused():
    program = """
from trunkline.balance import Sum, ObjectiveBalancer
from trunkline.balance.methods import OBJECTIVES
from trunkline import Config, UserError

@OBJECTIVES.register("mine")
class Mine(ObjectiveBalancer):
    def merge(self, losses, active):
        return losses.sum()

assert OBJECTIVES.find("mine") is Mine
OBJECTIVES.register("mine", Mine)
from trunkline.config.here_alone import workers
made = Config.make({"tasks": {"a": "binary"}, "balance": {"objective": "mine"}})
assert workers([made], asked=None, usual=4) == workers([made], asked=1, usual=4) == 1
assert workers([Config.make({"tasks": {"a": "binary"}})], asked=None, usual=4) == 4
try:
    workers([made], asked=2, usual=4)
except UserError as error:
    print(error)
assert Config.make({"tasks": {"a": "binary"}, "balance": {"objective": "mine"}}).balance.objective.kind == "mine"
try:
    OBJECTIVES.register("sum", Mine)
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert "method 'mine': registered by this program, so other processes do not know it; give jobs=1" in done.stdout
    assert "method 'sum' is there already (trunkline.balance.objectives.sum.Sum); register __main__.Mine" in done.stdout


def test_a_run_folder_brings_no_code(package):
    """Only an installed package's entry points are looked at, not what lies in the folder or in the config."""
    (package / "feedkit.yaml").write_text(
        (package / "feedkit.yaml").read_text().replace("kind: largest", "kind: 'feedkit.largest:Largest'")
    )
    done = run(package, "-m", "trunkline", "train", "feedkit.yaml", "--out", "run", "--quiet")
    assert done.returncode == 2
    assert "unknown" in done.stderr
