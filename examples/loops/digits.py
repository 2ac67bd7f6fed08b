"""Two digits in one image, one task each, in a plain PyTorch loop with a convolutional trunk of your own.

Two 8x8 digits of scikit-learn's bundled data lie side by side and overlap by three columns; task "left" names the one,
task "right" the other. `Fork` stands between trunk and heads, `Uncertainty` merges the losses, `Subnets` gives every
part a learning rate of its own. No digit in a test image occurs in a training image.
"""

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from trunkline import Fork, GroupOptions, Subnets
from trunkline.balance import PCGrad, Uncertainty

TASKS = ("left", "right")
EPOCHS, BATCH = 6, 64


class TwoDigits(nn.Module):
    """A convolutional trunk, the fork, one head a task."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 6, 64),
            nn.ReLU(),
        )
        self.fork = Fork(len(TASKS), PCGrad())
        self.heads = nn.ModuleDict({task: nn.Linear(64, 10) for task in TASKS})

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images `[N, 1, 8, 13]` -> for each task the logits of ten classes `[N, 10]`."""
        copies = self.fork(self.trunk(images))
        return [head(copy) for head, copy in zip(self.heads.values(), copies, strict=True)]


def pairs(digits: Tensor, names: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """n images `[n, 1, 8, 13]` of two random digits each, and their names `[n, 2]`."""
    chosen = torch.randint(len(digits), (n, 2))
    left = F.pad(digits[chosen[:, 0]], (0, 5))
    right = F.pad(digits[chosen[:, 1]], (5, 0))
    return torch.maximum(left, right)[:, None], names[chosen]


def main() -> dict[str, float]:
    """Train, test, and say what the fork saw."""
    torch.manual_seed(0)
    data = load_digits()
    order = torch.randperm(len(data.images))
    digits = torch.from_numpy(data.images).float()[order] / 16
    names = torch.from_numpy(data.target)[order]
    images, labels = pairs(digits[:1400], names[:1400], 6_000)
    test_images, test_labels = pairs(digits[1400:], names[1400:], 2_000)

    network, objective = TwoDigits(), Uncertainty(len(TASKS))
    owners = {f"head.{task}": list(head.parameters()) for task, head in network.heads.items()}
    owners |= {"trunk": list(network.trunk.parameters()), "balance": list(objective.parameters())}
    subnets = Subnets([network, objective], owners)
    rates = {"head.left": GroupOptions(lr=4e-3), "head.right": GroupOptions(lr=3e-3), "balance": GroupOptions(lr=1e-2)}
    optimizer = torch.optim.AdamW(subnets.groups(lr=2e-3, weight_decay=1e-2, overrides=rates))

    cosines, weights = [], []  # of the tasks' gradients at the fork, step by step
    for epoch in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(BATCH):
            logits = network(images[batch])
            losses = torch.stack([F.cross_entropy(logits[t], labels[batch, t]) for t in range(len(TASKS))])
            optimizer.zero_grad()
            objective(losses).backward()  # the fork weighs the two gradients in here, on their way into the trunk
            optimizer.step()

            cosines.append(network.fork.cosines()[0, 1])
            weights.append(network.fork.weights.clone())
        latest = torch.stack(cosines[-50:])
        print(
            f"epoch {epoch}  losses {losses.tolist()}  weights {weights[-1].tolist()}  "
            f"cosine {latest.mean().item():.3f}, negative in {(latest < 0).float().mean().item():.0%} of steps"
        )

    with torch.no_grad():
        right = [(logits.argmax(1) == test_labels[:, t]) for t, logits in enumerate(network(test_images))]
    cosine, weight = torch.stack(cosines), torch.stack(weights)
    figures = {f"accuracy_{task}": right[t].float().mean().item() for t, task in enumerate(TASKS)}
    figures |= {"lowest_weight": weight.min().item(), "highest_weight": weight.max().item()}
    figures |= {"lowest_cosine": cosine.min().item(), "conflicts": (cosine < 0).float().mean().item()}
    print("\n".join(f"{name:>15} {value:.3f}" for name, value in figures.items()))
    return figures


if __name__ == "__main__":
    main()
