"""Two regressions of chosen correlation: what do they lose by sharing a bottom, one gate, or experts with a gate each?

DOCSTRING

Run: python benchmarks/synthetic.py [--seeds 10] [--steps 5000] [--first 0] [--out docs/synthetic.svg]
Prints a table of held-out losses and one of paired differences, and as the last line one JSON object.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from trunkline.sharing import MMoE, OMoE, SharedBottom, Sharing
from trunkline.tasks import Regression, task_losses
from trunkline.towers import Towers

FEATURES, TERMS, NOISE = 100, 10, 0.1
BATCH, HELD_OUT, LOOKS = 64, 4000, 20
RATE = 0.003
CORRELATIONS = (1.0, 0.9, 0.75, 0.5, 0.25, 0.0)
NAMES = ("first", "second")
TASKS = tuple(Regression(name=name, standardize=False) for name in NAMES)

ARCHITECTURES: dict[str, Callable[[], Sharing]] = {
    # Widths that give all three the same number of parameters, but for 0.5 %; MMoE's are the paper's.
    "shared_bottom": lambda: SharedBottom(FEATURES, [126]),
    "omoe": lambda: OMoE(FEATURES, experts=8, hidden=[17]),
    "mmoe": lambda: MMoE(FEATURES, NAMES, experts=8, hidden=[16]),
}
COLOURS = {"shared_bottom": "#c8553d", "omoe": "#b08900", "mmoe": "#1b6ca8"}
TITLES = {"shared_bottom": "shared bottom", "omoe": "OMoE", "mmoe": "MMoE"}


class Net(nn.Module):
    """Sharing and towers, without a fork that would balance anything."""

    def __init__(self, architecture: str) -> None:
        super().__init__()
        self.sharing = ARCHITECTURES[architecture]()
        self.towers = Towers(TASKS, self.sharing.out_features, [8])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        raws: dict[str, Tensor] = self.towers(self.sharing(x, _split))
        return raws


def _split(*shared: Tensor) -> tuple[tuple[Tensor, ...], ...]:
    # Views, each task's its own: given the very same tensors, MMoE asks its gates for an `nn.Parameter`, and under
    # `functional_call` they have none.
    return tuple(tuple(tensor.view_as(tensor) for tensor in shared) for _ in TASKS)


class Data:
    """Rows of every seed at every correlation, S·C problems side by side; a seed's rows depend on that seed alone."""

    def __init__(self, seeds: Sequence[int], correlations: Sequence[float]) -> None:
        self.draws = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.correlations = len(correlations)
        weights, slopes, phases = [], [], []
        for draw in self.draws:
            one, other = torch.linalg.qr(torch.randn(FEATURES, 2, generator=draw)).Q.T
            slope = torch.randn(TERMS, generator=draw)
            phase = 2 * math.pi * torch.rand(TERMS, generator=draw)
            for p in correlations:
                weights.append(torch.stack([one, p * one + math.sqrt(1 - p * p) * other], dim=1))
                slopes.append(slope)
                phases.append(phase)
        self.weights = torch.stack(weights)
        self.slopes, self.phases = (torch.stack(numbers)[:, :, None, None] for numbers in (slopes, phases))

    def rows(self, count: int) -> tuple[Tensor, Tensor]:
        """Features `[S·C, N, 100]` and labels without noise `[S·C, N, 2]`; the features of a seed are the same at all C."""
        x = torch.stack([torch.randn(count, FEATURES, generator=draw) for draw in self.draws])
        x = x.repeat_interleave(self.correlations, dim=0)
        z = x @ self.weights
        return x, z + sum(torch.sin(self.slopes[:, i] * z + self.phases[:, i]) for i in range(TERMS))

    def noise(self, count: int) -> Tensor:
        """`[S·C, N, 2]`, the same at all C."""
        noise = torch.stack([torch.randn(count, len(TASKS), generator=draw) for draw in self.draws])
        return NOISE * noise.repeat_interleave(self.correlations, dim=0)


def train(architecture: str, seeds: Sequence[int], steps: int) -> Tensor:
    """Held-out losses `[LOOKS, S, C]` along a training of S·C networks of one architecture, all in one product."""
    data = Data(seeds, CORRELATIONS)
    nets = []
    for seed in seeds:
        torch.manual_seed(seed)
        net = Net(architecture)
        nets += [net] * len(CORRELATIONS)
    parameters = {name: value.detach().requires_grad_() for name, value in stack_module_state(nets)[0].items()}
    outputs = vmap(lambda values, x: functional_call(nets[0], values, (x,)))
    optimizer = torch.optim.Adam(parameters.values(), lr=RATE, fused=True)
    held_x, held_y = data.rows(HELD_OUT)
    found = []
    for step in range(1, steps + 1):
        x, y = data.rows(BATCH)
        y = y + data.noise(BATCH)
        # A network's loss is its own mean: its gradient is what it would be alone, and so is Adam's step.
        raws = {name: raw.flatten(0, 1) for name, raw in outputs(parameters, x).items()}
        labels = {name: y[:, :, task].flatten() for task, name in enumerate(NAMES)}
        losses, _ = task_losses(TASKS, raws, labels)
        optimizer.zero_grad()
        (losses.sum() * len(nets)).backward()
        optimizer.step()
        if step * LOOKS // steps > (step - 1) * LOOKS // steps:
            with torch.no_grad():
                guess = torch.cat([raw for raw in outputs(parameters, held_x).values()], dim=2)
            found.append((guess - held_y).square().mean(dim=(1, 2)).view(len(seeds), -1))
    return torch.stack(found)


def t95(freedom: int) -> float:
    """The 0.975 quantile of Student's t."""
    grid = np.linspace(0.0, 13.0, 260_001)
    density = (1 + grid**2 / freedom) ** (-(freedom + 1) / 2)
    scale = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    return float(grid[np.searchsorted(np.cumsum(density) * scale * grid[1], 0.475)])


def interval(values: Tensor) -> tuple[float, float]:
    """Mean of values `[S]` and half the width of its 95 % interval."""
    numbers = values.tolist()
    if len(numbers) < 2:
        return numbers[0], math.inf
    return statistics.mean(numbers), t95(len(numbers) - 1) * statistics.stdev(numbers) / math.sqrt(len(numbers))


def summary(losses: dict[str, Tensor]) -> dict[str, list[dict[str, float]]]:
    """What the tables show, for held-out losses `[S, C]` by architecture."""
    found: dict[str, list[dict[str, float]]] = {}
    bottom = losses["shared_bottom"]
    for name, mine in losses.items():
        risen, behind = mine - mine[:, :1], mine - bottom
        lines = []
        for place, p in enumerate(CORRELATIONS):
            line = {"correlation": p, "mean": mine[:, place].mean().item()}
            line["sd"] = mine[:, place].std().item() if len(mine) > 1 else 0.0
            line["lower_in"] = int((behind[:, place] < 0).sum())
            for key, values in (
                ("less_shared_bottom", behind[:, place]),
                ("rise", risen[:, place]),
                ("rise_less_shared_bottom", (risen - (bottom - bottom[:, :1]))[:, place]),
            ):
                line[key], line[f"{key}_95"] = interval(values)
            lines.append(line)
        found[name] = lines
    return found


def table(found: dict[str, list[dict[str, float]]], cell: Callable[[dict[str, float]], str], names: Sequence[str]) -> str:
    """A line an architecture, a column a correlation."""
    lines = ["  ".join([f"{'correlation':14}", *(f"{p:>18}" for p in CORRELATIONS)])]
    lines += ["  ".join([f"{name:14}", *(f"{cell(line):>18}" for line in found[name])]) for name in names]
    return "\n".join(lines)
