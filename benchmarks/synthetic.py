"""Two regressions of chosen correlation: what do they lose by sharing a bottom, one gate, or experts with a gate each?

DOCSTRING

Run: python benchmarks/synthetic.py [--seeds 10] [--steps 5000] [--first 0] [--out docs/synthetic.svg]
Prints a table of held-out losses and one of paired differences, and as the last line one JSON object.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
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
        """Features `[S·C, N, 100]` and labels without noise `[S·C, N, 2]`; a seed's features serve all C."""
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
                guess = torch.cat(list(outputs(parameters, held_x).values()), dim=2)
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
                ("log_ratio", (mine / bottom).log()[:, place]),
                ("rise", risen[:, place]),
                ("rise_less_shared_bottom", (risen - (bottom - bottom[:, :1]))[:, place]),
            ):
                line[key], line[f"{key}_95"] = interval(values)
            lines.append(line)
        found[name] = lines
    return found


def ratio(line: dict[str, float]) -> str:
    middle, half = line["log_ratio"], line["log_ratio_95"]
    return f"{math.exp(middle):.2f} ({math.exp(middle - half):.2f} … {math.exp(middle + half):.2f})"


def table(
    found: dict[str, list[dict[str, float]]], cell: Callable[[dict[str, float]], str], names: Sequence[str]
) -> str:
    """A line an architecture, a column a correlation."""
    lines = ["  ".join([f"{'correlation':14}", *(f"{p:>18}" for p in CORRELATIONS)])]
    lines += ["  ".join([f"{name:14}", *(f"{cell(line):>18}" for line in found[name])]) for name in names]
    return "\n".join(lines)


def ticks(top: float) -> list[float]:
    """Round numbers from 0 up to `top`, three to six of them."""
    unit = 10.0 ** math.floor(math.log10(top))
    step = next(unit * part for part in (0.2, 0.5, 1.0, 2.0) if top / (unit * part) < 6)
    return [step * i for i in range(int(top / step) + 1)]


class Panel:
    """Axes of one panel of the picture; correlation falls from left to right."""

    left, width, height = 58, 340, 220

    def __init__(self, top: float, *, low: float, high: float) -> None:
        self.top, self.low, self.high = top, low, high

    def x(self, correlation: float) -> float:
        return self.left + (1 - correlation) * self.width

    def y(self, value: float) -> float:
        return self.top + (self.high - min(max(value, self.low), self.high)) / (self.high - self.low) * self.height

    def line(self, values: Sequence[float], style: str) -> str:
        points = " ".join(f"{self.x(p):.1f},{self.y(v):.1f}" for p, v in zip(CORRELATIONS, values, strict=True))
        return f'<polyline points="{points}" fill="none" {style}/>'

    def band(self, lower: Sequence[float], upper: Sequence[float], colour: str) -> str:
        ends = [*zip(CORRELATIONS, upper, strict=True), *reversed([*zip(CORRELATIONS, lower, strict=True)])]
        points = " ".join(f"{self.x(p):.1f},{self.y(v):.1f}" for p, v in ends)
        return f'<polygon points="{points}" fill="{colour}" fill-opacity="0.13"/>'

    def frame(self, title: str, under: str) -> list[str]:
        right, bottom = self.left + self.width, self.top + self.height
        parts = [
            f'<text x="10" y="{self.top - 30}" font-weight="bold">{title}</text>',
            f'<text x="10" y="{self.top - 12}" fill="#666" font-size="12.5">{under}</text>',
        ]
        for value in ticks(self.high):
            y = self.y(value)
            parts.append(f'<path d="M{self.left} {y:.1f}H{right}" stroke="#ddd"/>')
            parts.append(f'<text x="{self.left - 8}" y="{y + 4.5:.1f}" text-anchor="end">{value:g}</text>')
        for p in CORRELATIONS:
            parts.append(f'<path d="M{self.x(p):.1f} {bottom}v5" stroke="#666"/>')
            parts.append(f'<text x="{self.x(p):.1f}" y="{bottom + 20}" text-anchor="middle">{p:g}</text>')
        return parts

    def names(self, ends: dict[str, float]) -> list[str]:
        """The lines' names beside their right ends, lowest first and none over another."""
        at, parts = math.inf, []
        for name in sorted(ends, key=lambda name: ends[name]):
            at = min(self.y(ends[name]) + 5, at - 17)
            style = f'fill="{COLOURS[name]}" font-weight="bold"'
            parts.append(f'<text x="{self.left + self.width + 10}" y="{at:.1f}" {style}>{TITLES[name]}</text>')
        return parts


def picture(losses: dict[str, Tensor], found: dict[str, list[dict[str, float]]]) -> str:
    """An SVG of two panels: held-out loss against correlation, and by how much it rises above that at correlation 1."""
    seeds = len(next(iter(losses.values())))
    high = 1.1 * max(line["mean"] + line["sd"] for lines in found.values() for line in lines)
    level = Panel(58, low=0.0, high=high)
    ends = [line["rise"] + part * line["rise_95"] for lines in found.values() for line in lines for part in (-1, 1)]
    low, high = 1.1 * min(0.0, *ends), 1.1 * max(ends)
    rise = Panel(level.top + level.height + 118, low=low, high=high)
    parts = [
        *level.frame("Held-out squared error", f"mean of both tasks; line: mean of {seeds} seeds, band: ± 1 sd"),
        *rise.frame("Its rise from correlation 1", "of the same seed; line: mean, bars: 95 % interval over seeds"),
    ]
    marks = []
    for place, (name, lines) in enumerate(found.items()):
        colour = COLOURS[name]
        means, spreads = [line["mean"] for line in lines], [line["sd"] for line in lines]
        lower, upper = ([m + sign * s for m, s in zip(means, spreads, strict=True)] for sign in (-1, 1))
        parts.append(level.band(lower, upper, colour))
        marks.append(level.line(means, f'stroke="{colour}" stroke-width="3" stroke-linejoin="round"'))
        marks.append(rise.line([line["rise"] for line in lines], f'stroke="{colour}" stroke-width="3"'))
        for line in lines[1:]:
            x = rise.x(line["correlation"]) + 3 * (place - 1)
            ends = [rise.y(line["rise"] + part * line["rise_95"]) for part in (1, -1)]
            marks.append(f'<path d="M{x:.1f} {ends[0]:.1f}V{ends[1]:.1f}" stroke="{colour}" stroke-width="1.5"/>')
            marks.append(f'<circle cx="{x:.1f}" cy="{rise.y(line["rise"]):.1f}" r="4" fill="{colour}"/>')
    marks += level.names({name: lines[-1]["mean"] for name, lines in found.items()})
    marks += rise.names({name: lines[-1]["rise"] for name, lines in found.items()})
    for panel in (level, rise):
        middle, under = panel.left + panel.width / 2, panel.top + panel.height + 42
        marks.append(f'<text x="{middle}" y="{under}" text-anchor="middle">correlation of the tasks\' weights</text>')
    height = rise.top + rise.height + 58
    size = f'viewBox="0 0 520 {height}" width="660" height="{height * 660 // 520}"'
    style = 'font-family="Helvetica, Arial, sans-serif" font-size="14" fill="#222"'
    about = "Held-out loss of shared bottom, OMoE and MMoE against the correlation of two tasks"
    ground = '<rect width="100%" height="100%" rx="6" fill="white"/>'
    body = "\n".join([*parts, *marks])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}><title>{about}</title>{ground}\n{body}\n</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first seed; settings were chosen with 100 and on")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=None, help="where the picture goes")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(asked.first, asked.first + asked.seeds)
    began, losses, parameters, course = time.perf_counter(), {}, {}, {}
    for name in ARCHITECTURES:
        started = time.perf_counter()
        parameters[name] = sum(parameter.numel() for parameter in Net(name).parameters())
        looks = train(name, seeds, asked.steps)
        losses[name], course[name] = looks[-1], looks.mean(dim=1)
        print(f"{name:14}{parameters[name]:>8,} parameters  {time.perf_counter() - started:.0f} s", flush=True)
    found = summary(losses)
    others = [name for name in ARCHITECTURES if name != "shared_bottom"]
    print("\nheld-out squared error, mean ± sd over seeds")
    print(table(found, lambda line: f"{line['mean']:.4f} ± {line['sd']:.4f}", list(ARCHITECTURES)))
    print("\nless shared bottom's of the same seed, mean and 95 % interval (in how many seeds lower)")
    behind = "{less_shared_bottom:+.4f} ± {less_shared_bottom_95:.4f} ({lower_in})"
    print(table(found, lambda line: behind.format(**line), others))
    print("\nbeside shared bottom's of the same seed, geometric mean and 95 % interval")
    print(table(found, ratio, others))
    print("\nrise from correlation 1, mean and 95 % interval")
    print(table(found, lambda line: f"{line['rise']:+.4f} ± {line['rise_95']:.4f}", list(ARCHITECTURES)))
    print("\nthat rise less shared bottom's, mean and 95 % interval")
    rise = "{rise_less_shared_bottom:+.4f} ± {rise_less_shared_bottom_95:.4f}"
    print(table(found, lambda line: rise.format(**line), others))
    if asked.out is not None:
        asked.out.write_text(picture(losses, found), encoding="utf-8")
    report = {
        "benchmark": "synthetic",
        "seeds": list(seeds),
        "steps": asked.steps,
        "seconds": round(time.perf_counter() - began, 1),
        "parameters": parameters,
        "correlations": CORRELATIONS,
        "losses": {name: values.tolist() for name, values in losses.items()},
        "found": found,
    }
    print("\n" + json.dumps(report))


if __name__ == "__main__":
    main()
