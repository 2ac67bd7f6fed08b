"""A loop with Hugging Face Accelerate: `accelerator.backward`, accumulation of two batches, one process or several.

The module returns the objective itself, because what a wrapped module computes outside its `forward` would escape the
averaging of gradients over processes: the parameters of `Uncertainty` learn too. With several processes the fork sums
its Gramian over them, and takes a process group of its own for it:

    torchrun --standalone --nproc_per_node 2 examples/loops/accelerate_loop.py
"""

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from trunkline import MLP, Fork, GroupOptions, Subnets, Towers, WarmupCosine, set_rates
from trunkline.balance import Uncertainty, UPGrad
from trunkline.tasks import Binary, Multiclass, Regression, task_losses

TASKS = (Binary(name="churn"), Multiclass(name="plan", classes=3), Regression(name="spend", center=200.0, scale=100.0))
FEATURES, ROWS, BATCH, EPOCHS, ACCUMULATE = 12, 9_000, 64, 4, 2


class Customers(nn.Module):
    """Trunk, fork, towers and the objective over their losses."""

    def __init__(self, process_group: dist.ProcessGroup | None) -> None:
        super().__init__()
        self.trunk = MLP(FEATURES, [64, 32])
        self.fork = Fork(len(TASKS), UPGrad(), process_group=process_group)
        self.towers = Towers(TASKS, 32, [16])
        self.objective = Uncertainty(len(TASKS), exponents=[task.exponent for task in TASKS])

    def forward(self, features: Tensor, labels: Tensor | None = None) -> tuple[dict[str, Tensor], Tensor | None]:
        """Features `[N, 12]`, labels `[N, 3]` with NaN where missing -> raw outputs, and the objective if labelled."""
        raws = self.towers(self.fork(self.trunk(features)))
        if labels is None:
            return raws, None
        losses, active = task_losses(TASKS, raws, {task.name: labels[:, t] for t, task in enumerate(TASKS)})
        return raws, self.objective(losses, active)


def simulate(n: int) -> TensorDataset:
    """Features `[n, 12]` and labels `[n, 3]`; a third of each label is missing."""
    features = torch.randn(n, FEATURES)
    hidden = torch.tanh(features @ torch.randn(FEATURES, 6) / 2)
    churn = torch.bernoulli((hidden @ torch.randn(6)).sigmoid())
    plan = (2 * hidden @ torch.randn(6, 3) - torch.rand(n, 3).log().neg().log()).argmax(1)  # Gumbel noise
    spend = 200 + 40 * (hidden @ torch.randn(6)) + 40 * torch.randn(n)
    labels = torch.stack([churn, plan, spend], dim=1)
    labels[torch.rand(labels.shape) < 1 / 3] = torch.nan
    return TensorDataset(features, labels)


def main() -> dict[str, float]:
    """Train and test."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=ACCUMULATE)
    train, test = torch.utils.data.random_split(simulate(ROWS), [ROWS - 2_000, 2_000])

    model = Customers(dist.new_group() if accelerator.num_processes > 1 else None)
    patterns = {"shared": "trunk.*", "balance": "objective.*"}
    patterns |= {f"tower.{task.name}": f"towers.subnets.{t}.*" for t, task in enumerate(TASKS)}
    rates = {"tower.*": GroupOptions(lr=5e-3)}
    groups = Subnets.matching(model, patterns).groups(lr=2e-3, schedule=WarmupCosine(), overrides=rates)
    model, optimizer, loader, test_loader = accelerator.prepare(
        model, torch.optim.AdamW(groups), DataLoader(train, BATCH, shuffle=True), DataLoader(test, 500)
    )

    batches = taken = 0
    steps = EPOCHS * -(-len(loader) // ACCUMULATE)
    for epoch in range(EPOCHS):
        for features, labels in loader:
            with accelerator.accumulate(model):
                _, objective = model(features, labels)
                accelerator.backward(objective)  # the fork weighs each batch's gradients, and .grad accumulates them
                set_rates(optimizer, step=taken, steps=steps)
                optimizer.step()  # Accelerate lets it through after every second batch
                optimizer.zero_grad()
            batches, taken = batches + 1, taken + accelerator.sync_gradients
        fork = accelerator.unwrap_model(model).fork
        accelerator.print(f"epoch {epoch}  objective {objective.item():.3f}  weights {fork.weights.tolist()}")

    model.eval()
    seen = []
    with torch.no_grad():
        for features, labels in test_loader:
            raws, _ = model(features)
            estimates = [task.estimate(raws[task.name]).view(len(features), -1) for task in TASKS]
            seen.append(accelerator.gather_for_metrics(torch.cat([*estimates, labels], dim=1)))
    churn, *plan, spend, true_churn, true_plan, true_spend = torch.cat(seen).T
    known = [~label.isnan() for label in (true_churn, true_plan, true_spend)]
    error = (spend - true_spend)[known[2]].square().mean() / true_spend[known[2]].var(correction=0)
    figures = {
        "accuracy_churn": ((churn > 0.5) == true_churn)[known[0]].float().mean().item(),
        "accuracy_plan": (torch.stack(plan).argmax(0) == true_plan)[known[1]].float().mean().item(),
        "r2_spend": 1 - error.item(),
        "batches": batches,
        "steps": taken,
    }
    accelerator.print("\n".join(f"{name:>15} {value:.3f}" for name, value in figures.items()))
    del model, optimizer  # a wrapped model that outlives its process group can hang torch at exit
    accelerator.free_memory()
    accelerator.end_training()
    return figures


if __name__ == "__main__":
    main()
