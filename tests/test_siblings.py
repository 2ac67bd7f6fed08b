"""Members of a list never import one another, only what they all stand on; new ones are held to it without a line."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

from trunkline.balance.methods import GRADIENTS, OBJECTIVES
from trunkline.insight.diagnosis.findings import DETECTORS
from trunkline.nn.interaction import INTERACTIONS
from trunkline.nn.numeric_embedding import NUMBERS
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tasks import TASK_KINDS

LISTS = {
    "objectives": {thing.__module__ for thing in OBJECTIVES.values()},
    "gradient methods": {thing.__module__ for thing in GRADIENTS.values()},
    "architectures": {thing.__module__ for thing in ARCHITECTURES.values()},
    "task kinds": {thing.__module__ for thing in TASK_KINDS.values()},
    "detectors": {detector.find.__module__ for detector in DETECTORS},
}


def imported(module):
    """Every module that a module names in an import, wherever it stands."""
    importlib.import_module(module)
    tree = ast.parse(Path(sys.modules[module].__file__).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("name", LISTS)
def test_siblings_do_not_know_one_another(name):
    members = LISTS[name]
    assert len(members) > 8
    packages = {module.rpartition(".")[0] for module in members}
    for module in members:
        known = set(imported(module))
        assert not known & (members - {module}), f"{module} imports {known & (members - {module})}"
        assert not known & packages, f"{module} imports the package of its siblings"


@pytest.mark.parametrize("name", ["objectives", "gradient methods", "architectures", "task kinds", "detectors"])
def test_one_concept_a_file(name):
    tables = {
        "objectives": OBJECTIVES,
        "gradient methods": GRADIENTS,
        "architectures": ARCHITECTURES,
        "task kinds": TASK_KINDS,
        "detectors": {detector.find.__module__: detector for detector in DETECTORS},
    }
    assert len(LISTS[name]) == len(tables[name])


def test_small_lists_may_share_a_file():
    assert len(INTERACTIONS) == len(NUMBERS) == 3
