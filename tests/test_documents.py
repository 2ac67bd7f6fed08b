"""What the documents show is run here: every config, every block of Python, every command.

A config that leaves out rows or tasks gets those of `WHOLE`. One that begins with `# name.yaml` lies under that name
when the commands of its document run.
"""

import json
import re
import shlex
import sqlite3
import sys
from contextlib import closing
from dataclasses import MISSING, fields
from inspect import Parameter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import xlsxwriter
import yaml

from trunkline import cli, fit
from trunkline.assembly.checks import check_config
from trunkline.assembly.network import build_network
from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.config.balance import BalanceConfig
from trunkline.config.data import DataConfig, SplitConfig
from trunkline.config.network import NetworkConfig
from trunkline.config.optimizer import OptimizerConfig
from trunkline.config.section import Section
from trunkline.config.training import TrainingConfig
from trunkline.config.tune import TuneConfig
from trunkline.datasets import feed
from trunkline.datasets.feed import FEATURES
from trunkline.metrics import METRICS
from trunkline.nn.inputs import Inputs
from trunkline.nn.interaction import INTERACTIONS
from trunkline.nn.numeric_embedding import NUMBERS
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tasks import TASK_KINDS, Task

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CONFIGS = sorted((ROOT / "examples").rglob("*.yaml"))
WHOLE = {
    "data": {"train": "train.parquet", "valid": "valid.parquet", "test": "test.parquet"},
    "tasks": {
        "click": "binary",
        "dwell": {"kind": "regression", "where": "click"},
        "purchase": {"kind": "binary", "where": "click"},
    },
}
QUICK = {"training.epochs": 1, "training.batch_size": 512, "training.device": "cpu"}


def task_options(kind):
    """What a user may give, beyond what every kind takes."""
    every = {field.name for field in fields(Task)}
    own = [field for field in fields(kind) if field.name not in every and "learned" not in field.metadata]
    return {field.name: field.default for field in own}


OPTIONS = {name: task_options(kind) for name, kind in TASK_KINDS.items()} | {
    name: {option: default for option, (_, default) in choices.options(name).items()}
    for choices in (ARCHITECTURES, NUMBERS, INTERACTIONS)
    for name in choices
}
"""Options and defaults of everything that is chosen by name."""


def blocks(language):
    found = []
    for path in DOCUMENTS:
        texts = re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        found += [pytest.param(path, text, id=f"{path.name}-{i}") for i, text in enumerate(texts)]
    return found


def document(name):
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def row(text, kind):
    """The one row of a table that begins with the kind."""
    (found,) = [line for line in text.splitlines() if line.startswith(f"| `{kind}` |")]
    return found


def chapter(text, heading):
    return text.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.fixture(scope="module")
def rows():
    """The table that the documents speak of."""
    frame, draw = feed.simulate(3_000).select([*FEATURES, "click", "dwell", "purchase"]), np.random.default_rng(0)
    clicked, items = frame["click"].to_numpy() == 1, frame["item"].to_list()
    spent = np.where(frame["purchase"].fill_null(0).to_numpy() == 1, np.exp(draw.normal(3, 1, len(frame))), 0)
    watched = [[items[i] for i in draw.integers(0, len(items), draw.integers(0, 4))] for _ in items]
    return frame.with_columns(
        pl.Series("stars", draw.integers(1, 6, len(frame))).set(pl.Series(~clicked), None),
        pl.Series("spent", spent),
        pl.Series("shares", draw.poisson(2, len(frame))),
        pl.Series("watched", watched),
        pl.Series("tags", [["short", "loud"][: i % 3] for i in range(len(frame))], dtype=pl.List(pl.String)),
    )


@pytest.fixture
def place(rows, tmp_path, monkeypatch):
    """A folder with that table, whole and in parts."""
    rows.write_parquet(tmp_path / "rows.parquet")
    for part, frame in feed.split(rows).items():
        frame.write_parquet(tmp_path / f"{part}.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_elsewhere(rows):
    """Two sheets of a workbook and a table of a database, which the documents speak of too."""
    plain = rows.select(pl.exclude(pl.List(pl.String), pl.List(pl.Int64)))
    with xlsxwriter.Workbook("orders.xlsx") as book:
        for sheet, frame in {"January": plain[:2000], "February": plain[2000:]}.items():
            frame.write_excel(book, worksheet=sheet)
    with closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.execute(f"CREATE TABLE orders ({', '.join(map(repr, plain.columns))})")
        connection.executemany(f"INSERT INTO orders VALUES ({', '.join('?' * plain.width)})", plain.rows())


def test_there_is_something_to_run():
    assert len(CONFIGS) >= 2
    assert len(blocks("python")) >= 2
    assert len(blocks("yaml")) >= 10
    assert sum("trunkline" in block.values[1] for block in blocks("console")) >= 1


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_what_documents_link_to_is_in_the_repository(path):
    """But for the references, which the site makes from the code; tests/site holds the links of its pages."""
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8"))
    near = [link for link in links if not link.startswith(("http", "reference/"))]
    assert [link for link in near if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_shipped_configs_are_sound(path):
    check_config(Config.make(path))


@pytest.mark.parametrize(("path", "text"), blocks("yaml"))
def test_yaml_in_documents_trains(path, text, place, rows):
    raw = yaml.safe_load(text)
    if "orders.xlsx#" in text or "shop.db#" in text:
        write_elsewhere(rows)
    if "tasks" in raw and raw["tasks"].keys().isdisjoint(WHOLE["tasks"]):
        raw["tasks"] = {**WHOLE["tasks"], **raw["tasks"]}  # further tasks for a trained network
    assert raw.keys() <= Config.model_fields.keys()
    (place / "block.yaml").write_text(yaml.safe_dump({**WHOLE, **raw}, sort_keys=False), encoding="utf-8")

    assert fit(place / "block.yaml", overrides=QUICK).metrics["epochs"] == 1


@pytest.mark.parametrize(("path", "text"), blocks("python"))
def test_python_in_documents_runs(path, text, place):
    before = torch.get_rng_state()
    try:
        exec(compile(text, "document", "exec"), {"__name__": "document"})
    finally:
        torch.set_rng_state(before)


@pytest.mark.parametrize(("path", "text"), blocks("console"))
def test_commands_in_documents_run(path, text, place, monkeypatch):
    if path.name == "first-hour.md":
        pytest.skip("one command needs what another one wrote; tests/site/test_first_hour.py runs them")
    commands = [line[2:] for line in text.splitlines() if line.startswith("$ trunkline ")]
    if not commands:
        pytest.skip("no trunkline command in this block")
    if any(shlex.split(command)[1] == "data" for command in commands):
        pytest.skip("this block fetches public data; tests/datasets and tests/test_reach.py hold it")
    for name, content in re.findall(r"^```yaml\n# (\w+\.yaml)\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
        (place / name).write_text(content, encoding="utf-8")
    for command in commands:
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code in (0, None), command


def sections(kind=Section):
    return {kind, *(found for below in kind.__subclasses__() for found in sections(below))}


def test_every_key_of_the_config_is_documented():
    text = document("config.md")
    keys = {key for section in sections() for key in section.model_fields}

    assert len(keys) > 50
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []


SECTIONS = {
    "data": (DataConfig, SplitConfig),
    "network": (NetworkConfig,),
    "balance": (BalanceConfig,),
    "optimizer": (OptimizerConfig,),
    "training": (TrainingConfig,),
    "tune": (TuneConfig,),
}


def plain_defaults(section):
    """Defaults that a table can show as they are."""
    for key, field in section.model_fields.items():
        default = field.get_default(call_default_factory=True)
        default = getattr(default, "kind", default)
        if isinstance(default, (bool, int, float, str)):
            yield key, json.dumps(default).removesuffix(".0") if not isinstance(default, str) else default


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented_with_its_default(heading):
    text = chapter(document("config.md"), f"`{heading}`")
    lines = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    for key, default in (pair for section in SECTIONS[heading] for pair in plain_defaults(section)):
        shown = [row[-1].strip("`") for row in cells if len(row) == 3 and f"`{key}`" in row[0]]
        assert default in shown or any(f"`{default}`" in row[-1] for row in cells if f"`{key}`" in row[0]), key


@pytest.mark.parametrize("kind", OPTIONS)
def test_every_option_is_documented_with_its_default(kind):
    line = row(document("config.md"), kind)
    for option, default in OPTIONS[kind].items():
        if default in (Parameter.empty, MISSING):
            assert f"`{option}`: " in line
            assert "needed" in line
        elif default == ():
            assert f"`{option}`: " in line
        else:
            shown = json.dumps(default)
            assert f"`{option}` ({shown})" in line or f"`{option}` (`{shown}`" in line


def subnets(kind):
    own = {"star": {"domain": "place"}, "pepnet": {"prior": ["place"]}}.get(kind, {})
    config = Config.make({"tasks": WHOLE["tasks"], "network": {"sharing": {"kind": kind, **own}}})
    network = build_network(config, build_tasks(config), Inputs(rows=(3,), widths=(2,), numbers=1, names=("place",)))
    return {re.sub(r"\.(click|dwell|purchase)$", ".<task>", name) for name in network.parameters_by_subnet()}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture_is_told_with_its_options_and_subnets(kind):
    text = document("sharing.md")
    assert row(text, kind)
    own = text.split(f"\n### `{kind}`\n")[1].split("\n#")[0].split("\n```")[0]
    for option in ARCHITECTURES.options(kind):
        assert f"`{option}`" in own
    told = re.search(r"Subnets?:\s(.*)", own, re.DOTALL).group(1)
    assert subnets(kind) - {"embedding", "tower.<task>"} == set(re.findall(r"`([^`]+)`", told))
    table = [line for line in document("config.md").splitlines() if line.startswith("| `") and line.count("|") == 4]
    known = {name for line in table for name in re.findall(r"`([^`]+)`", line.split("|")[1])}
    assert subnets(kind) <= known


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_every_likelihood_is_told_with_what_it_writes_and_its_scores(kind):
    text = document("likelihoods.md")
    task = TASK_KINDS[kind](name="t")
    exponent = row(chapter(text, "Losses"), kind).split("|")[-2].strip()
    assert exponent == {1.0: "1", 0.5: "½"}[task.exponent]
    _, _, columns, metrics, _ = row(chapter(text, "What is written and scored"), kind).split("|")
    assert metrics.strip() == ", ".join(f"**{name}**" if name == task.headline else name for name in task.metrics)
    details = {f"_{suffix}" for suffix in task.details(torch.zeros(1, task.outputs))} | (
        {"_sigma"} if task.residual_scale else set()
    )
    assert set(re.findall(r"`(_\w+)`", columns)) == details


def test_every_metric_is_told():
    text = chapter(document("likelihoods.md"), "What is written and scored")
    told = {name.strip() for line in text.splitlines() for name in line.split("|")[1:2] for name in name.split(",")}
    assert METRICS.keys() <= told
