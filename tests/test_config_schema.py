"""The config's JSON Schema, which editors and the site's reference read, says what the constructors say."""

import json
from inspect import Parameter

import pytest

from trunkline.balance.methods import GRADIENTS, OBJECTIVES
from trunkline.config.json_schema import json_schema
from trunkline.registry import told
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tables.columns import FEATURE_KINDS
from trunkline.tasks import TASK_KINDS

SCHEMA = json_schema()
TABLES = {"architecture": ARCHITECTURES, "feature": FEATURE_KINDS, "objective": OBJECTIVES, "gradients": GRADIENTS}


def kinds(node):
    """Every object of the schema that a kind opens, by its name."""
    if isinstance(node, dict):
        if "const" in node.get("properties", {}).get("kind", {}):
            yield node["properties"]["kind"]["const"], node
        for below in node.values():
            yield from kinds(below)
    elif isinstance(node, list):
        for below in node:
            yield from kinds(below)


def test_every_option_says_what_it_does():
    found = [*kinds(SCHEMA)]
    assert len(found) > 60
    silent = [(kind, key) for kind, node in found for key, value in node["properties"].items() if not value]
    assert silent == []
    options = [(kind, key, value) for kind, node in found for key, value in node["properties"].items() if key != "kind"]
    assert [(kind, key) for kind, key, value in options if not value.get("description")] == []


@pytest.mark.parametrize("sort", TABLES)
def test_defaults_are_those_of_the_constructors(sort):
    found = {}
    for kind, node in kinds(SCHEMA):
        if kind in TABLES[sort]:
            found.setdefault(kind, []).append(node["properties"])
    seen = 0
    for kind in TABLES[sort]:
        for key, (_, default) in TABLES[sort].options(kind).items():
            if default is Parameter.empty:
                continue
            shown = [properties[key].get("default") for properties in found[kind] if key in properties]
            assert json.loads(json.dumps(default)) in shown, (kind, key)
            seen += 1
    assert seen > 10


def test_a_number_for_each_task_may_stand_by_name_in_balance_alone():
    (fixed,) = (node for kind, node in kinds(SCHEMA) if kind == "fixed")
    assert any(form.get("type") == "object" for form in fixed["properties"]["weights"]["anyOf"])
    for kind, node in kinds(SCHEMA["$defs"]["NetworkConfig"]["properties"]["sharing"]):
        assert node["properties"]["hidden"].get("type") == "array", kind


def test_what_a_base_says_of_an_option_holds_for_what_derives_from_it():
    said = told(TASK_KINDS.find("regression"))
    assert said["standardize"].startswith("Whether the loss is in units of the labels' standard deviation")
    own, base = told(GRADIENTS.find("mgda"))["rescale"], told(GRADIENTS.find("equal"))["rescale"]
    assert own.startswith(base)
    assert own.endswith("The paper's weights sum to 1 (rescale=False).")
    assert told(OBJECTIVES.find("stch"))["mu"].startswith("μ")
