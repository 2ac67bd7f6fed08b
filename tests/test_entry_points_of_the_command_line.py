"""What each door loads: a module that takes long to import is there only where it is needed."""

import json
import os
import subprocess
import sys

import polars as pl
import pytest

HEAVY = {"torch", "polars", "numpy", "yaml", "plotly", "pandas", "sklearn", "scipy", "optuna", "mlflow"}
"""Not pydantic, which typer itself takes for arguments."""
TELL = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))
"""


def loaded(*arguments, program=None, environment=None):
    """Status, output, and the modules that were loaded in the end."""
    program = f"{TELL}\nfrom trunkline.cli import main\nmain()" if program is None else f"{TELL}\n{program}"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=os.environ | {"COLUMNS": "200"} | (environment or {}),
    )
    return done.returncode, done.stdout + done.stderr, set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--help"], 0, "one network, several KPIs"),
        (["--version"], 0, "trunkline 0.1.0"),
        (["train", "--help"], 0, "Continue the run"),
        (["init", "--help"], 0, "negative_binomial"),
        (["trian"], 2, "Did you mean 'train'"),
        (["train", "--resmue", "x"], 2, "--resume"),
        (["schema", "-o", "no_such_folder/x.json"], 2, "no_such_folder does not exist; make it"),
    ],
)
def test_help_version_and_a_typo_load_nothing_heavy(arguments, status, said):
    found, printed, modules = loaded(*arguments)
    assert found == status
    assert said in printed
    assert not modules & HEAVY


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands_and_loads_nothing_heavy(shell):
    asked = {"bash": {"COMP_WORDS": "trunkline tr", "COMP_CWORD": "1"}}.get(
        shell, {"_TYPER_COMPLETE_ARGS": "trunkline tr", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    )
    program = "import sys\nsys.argv[0] = 'trunkline'\nfrom trunkline.cli import app\napp(prog_name='trunkline')"
    status, printed, modules = loaded(
        program=program, environment={"_TRUNKLINE_COMPLETE": f"complete_{shell}", **asked}
    )
    assert status == 0
    assert "train" in printed.splitlines()[0]
    assert not modules & HEAVY


def test_python_m_trunkline_is_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "trunkline 0.1.0"


def test_the_package_alone_loads_nothing():
    _, _, modules = loaded(program="import trunkline")
    assert not modules & HEAVY


def test_the_core_loads_torch_without_its_compiler():
    program = "from trunkline import Embedding, Fork, MLP, Network, RowAdam, Subnets, Towers, balance, sharing, tasks"
    _, _, modules = loaded(program=program)
    assert "torch" in modules
    assert "torch._dynamo" not in modules
    assert not modules & (HEAVY - {"torch", "numpy", "polars"})
    assert "polars" not in modules


def test_a_prediction_loads_neither_the_compiler_nor_what_draws(tmp_path):
    rows = pl.DataFrame({"x": [0.0, 1.0] * 60, "click": [0, 1] * 60, "buy": [0, 0, 1, 0] * 30})
    rows.write_parquet(tmp_path / "rows.parquet")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"data: {{train: {tmp_path}/rows.parquet, store: none}}\ntasks: {{click: binary, buy: binary}}\n"
        "training: {epochs: 1, device: cpu}\n"
    )
    _, printed, modules = loaded("train", config, "--out", tmp_path / "run", "--quiet")
    assert (tmp_path / "run" / "metrics.json").exists(), printed
    assert not modules & {"plotly", "pandas", "sklearn", "optuna", "mlflow", "torchmetrics"}
    status, printed, modules = loaded(
        "predict", tmp_path / "run", tmp_path / "rows.parquet", "-o", tmp_path / "o.parquet"
    )
    assert status == 0, printed
    assert len(pl.read_parquet(tmp_path / "o.parquet")) == 120
    assert not modules & {"torch._dynamo", "plotly", "pandas", "sklearn", "optuna", "mlflow", "torchmetrics"}
