"""A LightningModule with automatic optimisation: gradients are balanced in the fork's backward, not by the loop.

Most ways to balance gradients need one backward pass a task, hence Lightning's manual optimisation. Here
`training_step` returns one objective as in any other module, and everything that Lightning does around it (mixed
precision, clipping, accumulation, checkpoints) goes on working.

A simulated feed: 1,000 users and 200 items; a click; seconds of dwell, observed after a click only; a purchase, which
is observed after a click and there in four rows of five. Labels that were not observed are NaN.
"""

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics.functional.classification import binary_auroc

from trunkline import Embedding, Fork, GroupOptions, Network, Subnets, Towers, WarmupCosine, set_rates
from trunkline.balance import PCGrad, Uncertainty
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary, Regression

USERS, ITEMS, NUMBERS, ROWS = 1_000, 200, 4, 24_000
TASKS = (
    Binary(name="click"),
    Regression(name="dwell", center=40.0, scale=15.0, reads=("click",)),
    Binary(name="purchase", reads=("click",)),  # reads the estimate of a click; no gradient flows back through it
)


class Feed(pl.LightningModule):
    """Network, objective and subnets; Lightning does the rest."""

    def __init__(self) -> None:
        super().__init__()
        embedding = Embedding(rows=[USERS + 2, ITEMS + 2], widths=[8, 8], numbers=NUMBERS)
        sharing = SharedBottom(embedding.out_features, [64, 32])
        self.network = Network(embedding, sharing, Fork(len(TASKS), PCGrad()), Towers(TASKS, 32, [16]))
        self.objective = Uncertainty(len(TASKS), exponents=[task.exponent for task in TASKS])

    def on_train_batch_start(self, *_: object) -> None:
        """Set every group's rate for the step about to be taken."""
        steps = int(self.trainer.estimated_stepping_batches)
        set_rates(self.optimizers(use_pl_optimizer=False), step=self.global_step, steps=steps)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """One objective from three losses; a task without an observed row in the batch takes no part."""
        ids, numbers, labels = batch
        raws = self.network(ids, numbers)
        losses, active = self.network.losses(raws, {task.name: labels[:, t] for t, task in enumerate(TASKS)})
        self.log_dict({f"loss/{task.name}": losses[t] for t, task in enumerate(TASKS)})
        return self.objective(losses, active)

    def on_train_batch_end(self, *_: object) -> None:
        """What the fork did in this batch's backward."""
        self.log_dict({f"weight/{task.name}": self.network.fork.weights[t] for t, task in enumerate(TASKS)})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimiser; a rate for each subnet, all with the same schedule except that of the balance."""
        owners = {**self.network.parameters_by_subnet(), "balance": list(self.objective.parameters())}
        rates = {"embedding": GroupOptions(lr=1e-2), "tower.*": GroupOptions(lr=5e-3)}
        groups = Subnets([self], owners).groups(lr=2e-3, schedule=WarmupCosine(), overrides=rates)
        return torch.optim.AdamW(groups)

    def test_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """AUC of both binary tasks, R² of dwell, each over its observed rows."""
        ids, numbers, labels = batch
        raws = self.network(ids, numbers)
        for t, task in enumerate(TASKS):
            seen = ~labels[:, t].isnan()
            estimate, label = task.estimate(raws[task.name])[seen], labels[seen, t]
            if isinstance(task, Binary):
                self.log(f"auc_{task.name}", binary_auroc(estimate, label.int()))
            else:
                self.log(f"r2_{task.name}", 1 - (estimate - label).square().mean() / label.var(correction=0))


def simulate(n: int) -> TensorDataset:
    """Ids `[n, 2]`, numbers `[n, 4]` and labels `[n, 3]` with NaN where not observed."""
    taste, appeal, effect = torch.randn(USERS), torch.randn(ITEMS), torch.randn(3, NUMBERS) / 2
    ids, numbers = torch.stack([torch.randint(USERS, (n,)), torch.randint(ITEMS, (n,))], dim=1), torch.randn(n, NUMBERS)
    liking = taste[ids[:, 0]] + appeal[ids[:, 1]]
    scores = liking[:, None] + numbers @ effect.T
    click = torch.bernoulli(scores[:, 0].sigmoid())
    dwell = 40 + 8 * scores[:, 1] + 8 * torch.randn(n)
    purchase = torch.bernoulli((scores[:, 2] - 1).sigmoid())
    dwell[click == 0] = purchase[click == 0] = purchase[torch.rand(n) < 0.2] = torch.nan
    return TensorDataset(ids + 2, numbers, torch.stack([click, dwell, purchase], dim=1))  # two rows are spoken for


def main() -> dict[str, float]:
    """Train and test."""
    torch.manual_seed(0)
    train, test = torch.utils.data.random_split(simulate(ROWS), [ROWS - 4_000, 4_000])
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = pl.Trainer(max_epochs=3, accelerator="cpu", **quiet)
    feed = Feed()
    trainer.fit(feed, DataLoader(train, batch_size=256, shuffle=True))
    figures = {name: value.item() for name, value in trainer.callback_metrics.items()}
    figures["final_rate_of_trunk"] = next(g["lr"] for g in trainer.optimizers[0].param_groups if g["name"] == "shared")
    figures |= trainer.test(feed, DataLoader(test, batch_size=4_000), verbose=False)[0]
    print("\n".join(f"{name:>20} {value:.3f}" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    main()
