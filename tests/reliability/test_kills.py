"""A run that is killed at random moments, writes of checkpoints included, ends as if it had never been."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import trunkline
from trunkline import fit

KILLS = 10
"""Of each of the five runs."""
SEED = int(os.environ.get("TRUNKLINE_KILLS_SEED", "0"))
RUNS = {
    "every step a checkpoint": {"training.checkpoint_minutes": 0},
    "checkpoints after epochs alone": {"training.checkpoint_minutes": None, "training.patience": 2},
    "row-sparse tables and a store on disk": {
        "network.embedding.sparse_above": 0,
        "data.store": "store",
        "training.checkpoint_minutes": 0,
    },
    "mmoe under famo, bf16": {
        "network.sharing": {"kind": "mmoe", "hidden": [6]},
        "balance.objective": "famo",
        "training.amp": "bf16",
    },
    "pcgrad, calibrated": {"balance.gradients": "pcgrad", "tasks.click.calibrate": "isotonic"},
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked children")
@pytest.mark.parametrize("name", RUNS)
def test_kills_at_random_moments_leave_no_trace(parts, small_settings, whole, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part, frame in parts.items():
        frame.write_parquet(tmp_path / f"{part}.parquet")
    config = trunkline.Config.make(
        small_settings,
        overrides={
            "data.train": "train.parquet",
            "data.valid": "valid.parquet",
            "training.epochs": 12,
            "training.checkpoint_minutes": 0.0001,
            **RUNS[name],
        },
    )
    raw = config.model_dump(mode="json")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    fit("config.yaml", out=tmp_path / "whole")
    expected = whole(tmp_path / "whole")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(trunkline.__file__).parents[1])}
    command = [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path), str(KILLS), str(SEED)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == KILLS
    runs = [tmp_path / "run", *tmp_path.glob("finished*")]
    assert all(whole(run) == expected for run in runs)
