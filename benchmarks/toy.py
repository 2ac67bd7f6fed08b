"""Two losses of a point in the plane: where does each gradient method, and FAMO, end from five starts?

The problem of CAGrad (Liu et al. 2021, arXiv 2110.14048) as Nash-MTL (Navon et al. 2022, arXiv 2202.01017) runs it: the
first loss counts a tenth, Adam at 0.001, 35 000 steps. Above the abscissa two narrow valleys; below it two bowls whose
Pareto set is the segment x2 = -8.3552, -7 <= x1 <= 7. Gradients are exact and in float64.

Run: python benchmarks/toy.py [--steps 35000] [--methods mgda,nash] [--picture paths.svg]
Prints where each start ends, and as the last line one JSON object.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from goals import at_least, finish
from numpy.typing import NDArray

from trunkline.balance.base import GramianBalancer, ObjectiveBalancer
from trunkline.balance.gradients.aligned import AlignedMTL
from trunkline.balance.gradients.cagrad import CAGrad
from trunkline.balance.gradients.conflict_free import ConFIG
from trunkline.balance.gradients.dualproj import DualProj
from trunkline.balance.gradients.equal import Equal
from trunkline.balance.gradients.fairgrad import FairGrad
from trunkline.balance.gradients.gradvac import GradVac
from trunkline.balance.gradients.imtl_g import IMTLG
from trunkline.balance.gradients.mgda import MGDA
from trunkline.balance.gradients.nash import NashMTL
from trunkline.balance.gradients.pcgrad import PCGrad
from trunkline.balance.gradients.upgrad import UPGrad
from trunkline.balance.objectives.famo import FAMO

Floats = NDArray[np.float64]

Balancer = GramianBalancer | ObjectiveBalancer
SCALE = 0.1

METHODS: dict[str, Callable[[], Balancer]] = {
    "sum": Equal,
    "mgda": MGDA,
    "pcgrad": PCGrad,
    "cagrad": CAGrad,
    "nash": NashMTL,
    "fairgrad": FairGrad,
    "upgrad": UPGrad,
    "imtl_g": IMTLG,
    "aligned": AlignedMTL,
    "gradvac": lambda: GradVac(2),
    "dualproj": DualProj,
    "conflict_free": ConFIG,
    # As the authors run it: below both bowls' least value, -20, and without decay, since the losses stop falling here.
    "famo": lambda: FAMO(2, decay=0.0, min_losses=[-21.0 * SCALE, -21.0]),
}
EXPECTED = ("mgda", "cagrad", "nash", "fairgrad", "famo")
"""Methods that have to end on the Pareto set from every start.

PCGrad, and UPGrad which is the same for two tasks, creep along the valley from (9, 9) without reaching its end in
35 000 steps, whatever the scale of the weights: there the gradients conflict in nearly every step and what is left of
them is short.
"""
STARTS = np.array([[-8.5, 7.5], [0.0, 0.0], [9.0, 9.0], [-7.5, -0.5], [9.0, -1.0]])
PARETO = -8.3552
LEAST = 5e-6


def losses(x: Floats) -> Floats:
    """Both losses `[2, N]` at points `[N, 2]`."""
    return _losses_and_gradients(x)[0]


def gradients(x: Floats) -> Floats:
    """Their gradients `[N, 2, 2]`: point, loss, coordinate."""
    return _losses_and_gradients(x)[1]


def _losses_and_gradients(x: Floats) -> tuple[Floats, Floats]:
    x1, x2 = x[:, 0], x[:, 1]
    tanh, half = np.tanh(x2), np.tanh(0.5 * x2)
    above, below = np.maximum(half, 0.0), np.maximum(-half, 0.0)
    slope = 0.5 * (1.0 - half**2)
    above_slope, below_slope = np.where(half >= 0.0, slope, 0.0), np.where(half <= 0.0, -slope, 0.0)
    values, rows = [], []
    for inside, sign, centre, scale in (
        (0.5 * (-x1 - 7.0) + tanh, 1.0, 7.0, SCALE),
        (0.5 * (-x1 + 3.0) - tanh + 2.0, -1.0, -7.0, 1.0),
    ):
        clamped = np.abs(inside) < LEAST
        valley = np.log(np.maximum(np.abs(inside), LEAST)) + 6.0
        inverse = np.where(clamped, 0.0, 1.0 / np.where(clamped, 1.0, inside))
        bowl = ((x1 - centre) ** 2 + 0.1 * (x2 + 8.0) ** 2) / 10.0 - 20.0
        values.append(scale * (valley * above + bowl * below))
        along = -0.5 * inverse * above + 0.2 * (x1 - centre) * below
        across = (
            sign * (1.0 - tanh**2) * inverse * above
            + valley * above_slope
            + 0.02 * (x2 + 8.0) * below
            + bowl * below_slope
        )
        rows.append(scale * np.stack([along, across], axis=1))
    return np.stack(values), np.stack(rows, axis=1)


def weights_of(balancer: Balancer, values: Floats, rows: Floats) -> Floats:
    """Weights `[2]` at losses `[2]` with gradients `[2, 2]`."""
    if isinstance(balancer, GramianBalancer):
        return balancer(torch.from_numpy(rows @ rows.T)).numpy()
    leaf = torch.from_numpy(values).requires_grad_()
    return torch.autograd.grad(balancer(leaf), leaf)[0].numpy()


def descend(build: Callable[[], Balancer], steps: int) -> Floats:
    """The paths `[steps + 1, 5, 2]` of Adam at 0.001, each start with a balancer of its own."""
    balancers = [build() for _ in STARTS]
    x, mean, square = STARTS.copy(), np.zeros_like(STARTS), np.zeros_like(STARTS)
    path = [x]
    for step in range(1, steps + 1):
        values, rows = _losses_and_gradients(x)
        pairs = zip(balancers, values.T, rows, strict=True)
        weights = np.stack([weights_of(balancer, value, row) for balancer, value, row in pairs])
        update = (weights[:, :, None] * rows).sum(axis=1)
        mean = 0.9 * mean + 0.1 * update
        square = 0.999 * square + 0.001 * update**2
        corrected = np.sqrt(square / (1.0 - 0.999**step)) + 1e-8
        x = x - 0.001 * mean / (1.0 - 0.9**step) / corrected
        for balancer, value in zip(balancers, losses(x).T, strict=True):
            if isinstance(balancer, ObjectiveBalancer):
                balancer.observe(torch.ones(2, dtype=torch.bool), losses=torch.from_numpy(value))
        path.append(x)
    return np.stack(path)


def on_pareto_set(x: Floats) -> NDArray[np.bool_]:
    """Whether points `[N, 2]` lie on the Pareto set, but for 0.1: towards its ends the true set bends a little."""
    return (np.abs(x[:, 1] - PARETO) < 0.1) & (np.abs(x[:, 0]) < 7.1)


def picture(paths: dict[str, Floats]) -> str:
    """An SVG with one panel a method: the Pareto set in grey, and five paths from start (dot) to end (ring)."""
    columns, side, gap, colours = 4, 220, 30, ("#1b6ca8", "#c8553d", "#4f772d", "#7b2d8b", "#b08900")
    rows = -(-len(paths) // columns)

    def place(x: Floats) -> list[str]:
        return [f"{(a + 12) / 24 * side:.1f},{(12 - b) / 24 * side:.1f}" for a, b in x.tolist()]

    def circle(at: str, style: str) -> str:
        return '<circle cx="{}" cy="{}" {}/>'.format(*at.split(","), style)

    lines = []
    for i, (name, path) in enumerate(paths.items()):
        left, top = gap + i % columns * (side + gap), gap + i // columns * (side + gap)
        lines.append(f'<g transform="translate({left},{top})"><text y="-8">{name}</text>')
        lines.append(f'<rect width="{side}" height="{side}" fill="none" stroke="#999"/>')
        ends = " ".join(place(np.array([[-7.0, PARETO], [7.0, PARETO]])))
        lines.append(f'<polyline points="{ends}" stroke="#999" stroke-width="7" stroke-linecap="round"/>')
        for start, colour in enumerate(colours):
            points = place(path[:: max(1, len(path) // 400), start])
            end = place(path[-1:, start])[0]
            lines.append(f'<polyline points="{" ".join(points)}" stroke="{colour}" stroke-width="1.5" fill="none"/>')
            lines.append(circle(points[0], f'r="3.5" fill="{colour}"'))
            lines.append(circle(end, f'r="5" fill="white" stroke="{colour}" stroke-width="2"'))
        lines.append("</g>")
    size = f'width="{columns * (side + gap) + gap}" height="{rows * (side + gap) + gap}"'
    style = 'font-family="sans-serif" font-size="14"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{ground}{"".join(lines)}</svg>\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=35_000)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--picture", type=Path, default=None)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    paths: dict[str, Floats] = {}
    found: dict[str, dict[str, object]] = {}
    for name in asked.methods.split(","):
        began = time.perf_counter()
        paths[name] = descend(METHODS[name], asked.steps)
        ends = paths[name][-1]
        there = on_pareto_set(ends)
        found[name] = {"on_pareto_set": int(there.sum()), "ends": ends.round(3).tolist()}
        shown = "  ".join(f"({a:7.3f}, {b:7.3f}){'*' if yes else ' '}" for (a, b), yes in zip(ends, there, strict=True))
        print(f"{name:14}{shown}  {int(there.sum())} of 5  {time.perf_counter() - began:.0f} s", flush=True)
    print("* on the Pareto set")
    if asked.picture is not None:
        asked.picture.write_text(picture(paths), encoding="utf-8")
    figures = [
        at_least(f"{name}: starts that end on the Pareto set", found[name]["on_pareto_set"], len(STARTS))
        for name in EXPECTED
        if name in found
    ]
    finish("toy", figures, steps=asked.steps, methods=found)


if __name__ == "__main__":
    main()
