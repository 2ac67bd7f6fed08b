"""The core needs torch alone."""

import subprocess
import sys

HEAVY = {
    *("polars", "pydantic", "typer", "rich", "plotly", "pandas", "torchmetrics", "yaml", "torchjd", "safetensors"),
    *("rtdl_num_embeddings", "sklearn", "scipy"),
}

PROGRAM = """
import sys
import torch
before = set(sys.modules)
import trunkline as tl

tasks = [tl.tasks.Binary(name="click"), tl.tasks.Regression(name="dwell", reads=("click",))]
from trunkline.nn.interaction import CrossLayers

embedding = tl.Embedding([5], [4], 2, interaction=CrossLayers)
model = tl.Network(
    embedding,
    tl.sharing.SharedBottom(embedding.out_features, [8]),
    tl.Fork(2, tl.balance.PCGrad()),
    tl.Towers(tasks, 8, [4]),
)
objective = tl.balance.Uncertainty(2)
subnets = tl.Subnets([model, objective], model.parameters_by_subnet() | {"balance": list(objective.parameters())})
optimizer = torch.optim.AdamW(subnets.groups(lr=0.01, schedule=tl.WarmupCosine()))
tl.set_rates(optimizer, step=0, steps=10)
first = [parameter.detach().clone() for parameter in model.parameters()]
losses, active = model.losses(
    model(torch.tensor([[2], [3]]), torch.ones(2, 2)), {"click": torch.tensor([0.0, 1.0]), "dwell": torch.ones(2)}
)
objective(losses, active).backward()
optimizer.step()
assert any(not torch.equal(a, b) for a, b in zip(first, model.parameters()))
print(*sorted({name.split(".")[0] for name in set(sys.modules) - before}))
"""


def loaded(program: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_training_with_the_core_loads_torch_alone():
    names = loaded(PROGRAM)
    assert "trunkline" in names
    assert not names & HEAVY


def test_the_rest_comes_when_it_is_asked_for():
    names = loaded("import sys, trunkline; trunkline.Config; print(*{name.split('.')[0] for name in sys.modules})")
    assert {"pydantic", "yaml"} <= names
