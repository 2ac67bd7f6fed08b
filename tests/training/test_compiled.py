"""`training.compile` changes how fast a network is trained, and nothing else."""

import shutil

import pytest
import torch

from trunkline import fit

needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None or torch.backends.cpu.get_cpu_capability() == "DEFAULT",
    reason="torch.compile needs a C++ compiler, and writes code for vector units that torch was told not to use",
)

# torch's own, from inside its compiler
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


@needs_compiler
@pytest.mark.parametrize("gradients", ["none", "pcgrad"])
def test_a_compiled_training_is_the_same(settings, make_rows, gradients, tmp_path, monkeypatch):
    # What was compiled for other vector units of the same machine would be taken from torch's cache, and break.
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    rows = {"train": make_rows(300), "valid": make_rows(80, seed=1)}
    overrides = {
        "training.epochs": 2,
        "network.dropout": 0.0,  # drawn otherwise in compiled code
        "training.batch_size": 64,  # the last batch is smaller
        "balance.gradients": gradients,
        "network.embedding.sparse_above": 7,
    }
    torch._dynamo.reset()
    plain = fit(settings, **rows, overrides=overrides)
    before = torch._dynamo.utils.counters["stats"]["calls_captured"]
    compiled = fit(settings, **rows, overrides=overrides | {"training.compile": True})
    assert torch._dynamo.utils.counters["stats"]["calls_captured"] > before
    one, other = plain.network.state_dict(), compiled.network.state_dict()
    for name in one:
        torch.testing.assert_close(other[name], one[name], rtol=1e-3, atol=1e-4, msg=name)
