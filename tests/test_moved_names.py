"""What version 0.1 called otherwise still works, and says how it is called now."""

import importlib
import subprocess
import sys

import pytest

import trunkline
from trunkline.moved import MODULES, NAMES, new_place

CLASHES = {"insight.importance", "insight.lr_range"}
"""Modules of 0.1 whose names are folders now: they hold the same names as before."""


def test_every_moved_module_has_a_new_place():
    assert len(MODULES) > 100
    for new in MODULES.values():
        assert importlib.util.find_spec(f"trunkline.{new}") is not None, new
    for module, names in NAMES.items():
        for old, new in names.items():
            place, _, now = f"{module}.{new}".rpartition(".") if "." not in new else new.rpartition(".")
            assert hasattr(importlib.import_module(f"trunkline.{place}"), now), f"{module}.{new}"
            if "." not in new:
                assert not hasattr(importlib.import_module(f"trunkline.{place}"), old), f"{module}.{old}"


@pytest.mark.parametrize(
    ("old", "name", "new", "now"),
    [
        ("trunkline.embedding", "Embedding", "trunkline.nn.embedding", "Embedding"),
        ("trunkline.exact", "fork_exactly", "trunkline.balance.parameter_fork", "fork_at_parameters"),
        ("trunkline.apart", "Apart", "trunkline.nn.per_task_embedding", "PerTaskEmbedding"),
        ("trunkline.training.build", "build_network", "trunkline.assembly.network", "build_network"),
        ("trunkline.training.files", "RunFolder", "trunkline.runs.folder", "RunFolder"),
        ("trunkline.training.files", "write_text", "trunkline.runs.files", "write_text"),
        ("trunkline.balance.cagrad", "CAGrad", "trunkline.balance.gradients.cagrad", "CAGrad"),
        ("trunkline.training.metrics.scores", "score", "trunkline.metrics.scores", "score"),
        ("trunkline.training.trackers", "Tracking", "trunkline.training.tracking", "Tracking"),
    ],
)
def test_an_old_place_gives_the_same_thing_with_a_warning(old, name, new, now):
    for module in [one for one in sys.modules if one == old or old.startswith(f"{one}.")]:
        if new_place(module) is not None:
            del sys.modules[module]
    with pytest.warns(DeprecationWarning, match=r"is now trunkline\."):
        found = importlib.import_module(old)
    assert getattr(found, name) is getattr(importlib.import_module(new), now)


def test_the_warning_points_at_the_importing_line(tmp_path):
    script = tmp_path / "old.py"
    script.write_text("import trunkline\nfrom trunkline.fork import Fork\nprint(Fork is trunkline.Fork)\n")
    done = subprocess.run(
        [sys.executable, "-W", "always", str(script)], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "True"
    assert "old.py:2: DeprecationWarning: trunkline.fork is now trunkline.balance.fork" in done.stderr


def test_renamed_public_names_warn():
    with pytest.warns(DeprecationWarning, match=r"trunkline\.Rate is now trunkline\.GroupOptions"):
        assert trunkline.Rate is trunkline.GroupOptions
    with pytest.warns(DeprecationWarning, match=r"trunkline\.fork_exactly is now"):
        assert trunkline.fork_exactly is trunkline.fork_at_parameters


def test_modules_that_became_folders_hold_what_they_held():
    for name in CLASHES:
        assert name not in MODULES
    from trunkline.insight.importance import Importance, importance
    from trunkline.insight.lr_range import lr_range

    assert (Importance, importance, lr_range) == (trunkline.Importance, trunkline.importance, trunkline.lr_range)


def test_what_never_was_is_still_missing():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("trunkline.embeding")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("trunkline.nn.no_such_module")
    with pytest.raises(AttributeError):
        _ = trunkline.no_such_name
