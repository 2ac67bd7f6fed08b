"""Every balancer, architecture, embedding and option: a training that dies at any step ends as if it never had."""

import pytest

from trunkline import fit
from trunkline.balance.methods import GRADIENTS, OBJECTIVES
from trunkline.config import Config
from trunkline.sharing.architectures import ARCHITECTURES

NEEDS = {"star": {"domain": "page"}, "pepnet": {"prior": ["user"]}}
NEEDED = {"fixed": {"weights": [1.0, 2.0, 0.5]}, "torchjd": {"aggregator": "Mean"}}
AT_PARAMETERS = {"moco", "db_mtl", "excess_mtl"}
CASES = (
    {f"objective {name}": {"balance.objective": {"kind": name, **NEEDED.get(name, {})}} for name in OBJECTIVES}
    | {
        f"gradients {name}": {
            "balance.gradients": {"kind": name, **NEEDED.get(name, {})},
            "balance.at": "parameters" if name in AT_PARAMETERS else "fork",
        }
        for name in GRADIENTS
    }
    | {"pcgrad at the parameters": {"balance.gradients": "pcgrad", "balance.at": "parameters"}}
    | {
        f"sharing {kind}": {
            "network.sharing": {"kind": kind, "hidden": [[6], [4]] if kind == "ple" else [6, 4], **NEEDS.get(kind, {})}
        }
        for kind in ARCHITECTURES
    }
    | {
        "row-sparse tables, row-wise Adam": {"network.embedding.sparse_above": 0},
        "row-sparse tables, row-wise Adagrad": {"network.embedding.sparse_above": 0, "optimizer.rows": "adagrad"},
        "piecewise numbers": {"network.numbers": "piecewise"},
        "periodic numbers": {"network.numbers": "periodic"},
        "dcn_v2": {"network.interaction": "dcn_v2"},
        "batch normalisation": {"network.norm": "batch"},
        "bf16": {"training.amp": "bf16"},
        "sgd": {"optimizer.name": "sgd"},
        "adamw under a schedule": {"optimizer.name": "adamw", "optimizer.schedule": "warmup_cosine"},
        "early stopping": {"training.patience": 1, "training.epochs": 9},
        "calibration": {"tasks.click.calibrate": "isotonic"},
        "gradients logged": {"training.log_gradients": True, "training.log_every": 2},
        "bad batches left out": {"training.bad_batches": 3},
    }
)


class Killed(BaseException):
    """Nothing catches it, and nothing is written on its way."""


@pytest.mark.parametrize("case", CASES)
def test_a_training_that_dies_and_goes_on_ends_as_if_it_had_not(parts, small_settings, whole, tmp_path, case):
    config = Config.make(small_settings, overrides=CASES[case])
    fit(config, **parts, out=tmp_path / "whole")
    expected = whole(tmp_path / "whole")
    deaths = [1, 3, 4, 7]  # at once, within an epoch, at the end of one, in the last
    for step in deaths:

        def die(line, step=step):
            if line["step"] >= step:
                raise Killed

        with pytest.raises(Killed):
            fit(config, **parts, out=tmp_path / "run", resume=step != deaths[0], on_line=die)
    fit(config, **parts, out=tmp_path / "run", resume=True)
    assert whole(tmp_path / "run") == expected
    assert len(expected[0]) > len(deaths)
