"""A broken package takes itself out of the config's schema, and nobody else."""

import logging
from importlib.metadata import EntryPoint

import pytest

from trunkline.balance.methods import OBJECTIVES
from trunkline.config.json_schema import json_schema
from trunkline.metrics import METRICS
from trunkline.plugins import Plugin
from trunkline.tables.columns import FEATURE_KINDS
from trunkline.tasks import TASK_KINDS


@pytest.mark.parametrize("table", [OBJECTIVES, TASK_KINDS, FEATURE_KINDS, METRICS], ids=lambda table: table.what)
@pytest.mark.parametrize("value", ["no_such_package:Thing", "trunkline.errors:UserError", "trunkline.errors:did_you"])
def test_the_broken_one_is_named_and_the_others_are_there(monkeypatch, caplog, table, value):
    whole = json_schema()
    broken = Plugin("broken", EntryPoint("broken", value, table.group))
    monkeypatch.setattr("trunkline.registry.plugins", lambda group: (broken,) if group == table.group else ())
    with caplog.at_level(logging.WARNING):
        found = json_schema()
    assert found == whole
    (said,) = {record.getMessage() for record in caplog.records}
    assert "left out of the schema" in said
    assert "'broken'" in said
