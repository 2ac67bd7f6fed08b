"""What the documents show is run here: every config, every block of Python, every command."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch
import yaml

from trunkline import cli, config
from trunkline.config import Config
from trunkline.config.section import Section
from trunkline.datasets import feed
from trunkline.datasets.feed import FEATURES
from trunkline.training.build import check_config

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "examples").rglob("*.yaml"))


def blocks(language):
    found = []
    for path in DOCUMENTS:
        texts = re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        found += [pytest.param(text, id=f"{path.name}-{i}") for i, text in enumerate(texts)]
    return found


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the table that the documents speak of."""
    frame = feed.simulate(3_000).select([*FEATURES, "click", "dwell", "purchase"])
    frame.write_parquet(tmp_path / "rows.parquet")
    for part, rows in feed.split(frame).items():
        rows.write_parquet(tmp_path / f"{part}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_is_something_to_run():
    assert len(CONFIGS) >= 2
    assert len(blocks("python")) >= 2
    assert len(blocks("yaml")) >= 1
    assert sum("trunkline" in block.values[0] for block in blocks("console")) >= 1


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_are_sound(path):
    check_config(Config.make(path))


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_in_documents_trains(text, place):
    (place / "block.yaml").write_text(text, encoding="utf-8")
    parsed = Config.make(place / "block.yaml")

    assert check_config(parsed)
    assert yaml.safe_load(text).keys() <= Config.model_fields.keys()


@pytest.mark.parametrize("text", blocks("python"))
def test_python_in_documents_runs(text, place):
    before = torch.get_rng_state()
    try:
        exec(compile(text, "document", "exec"), {"__name__": "document"})
    finally:
        torch.set_rng_state(before)


@pytest.mark.parametrize("text", blocks("console"))
def test_commands_in_documents_run(text, place, monkeypatch):
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ trunkline ")]
    if not commands:
        pytest.skip("no trunkline command in this block")
    if any(shlex.split(command)[1] == "data" for command in commands):
        pytest.skip("this block fetches public data; tests/datasets and tests/test_reach.py hold it")
    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (0, None), command


def test_every_key_of_the_config_is_documented():
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    sections = [c for c in vars(config).values() if isinstance(c, type) and issubclass(c, Section)]
    keys = {key for section in sections for key in section.model_fields}

    assert len(keys) > 30
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []
