"""What the weights of each Gramian method cost a call, beside torchjd's own, in turns.

Gramians of random gradients, half of which lean against the first, scaled to a largest diagonal of 1 in float64 on the
CPU, one thread. Timed from there to the weights, for ours (`weigh`) and for torchjd's alike; the line "around" is what
`GramianBalancer.forward` adds to any method for scaling and rescaling. All methods take turns, a call each, so that a
machine whose speed drifts slows all alike. Methods of torchjd whose solvers are not installed are left out.

Run: python benchmarks/solvers.py [--tasks 2,4,8,16,40] [--rounds 60]
Prints a table of milliseconds a call, and as the last line one JSON object.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from goals import at_most, finish
from torch import Tensor
from torchjd import aggregation

from trunkline.balance.base import GramianBalancer
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

Weigh = Callable[[Tensor], Tensor]
LIMIT = {"nash": 1.0, "fairgrad": 1.0, "cagrad": 1.0}
"""Milliseconds that a call may take up to 16 tasks."""
NO_SLOWER = ("upgrad", "mgda", "pcgrad")
"""Methods that may not be slower than torchjd's."""


def pairs(tasks: int) -> dict[str, tuple[GramianBalancer, Callable[[], Weigh] | None]]:
    """Ours and torchjd's, which may ask for a solver that is not installed, by name."""
    return {
        "mgda": (MGDA(), aggregation.MGDAWeighting),
        "pcgrad": (PCGrad(), aggregation.PCGradWeighting),
        "gradvac": (GradVac(tasks), aggregation.GradVacWeighting),
        "cagrad": (CAGrad(), lambda: aggregation.CAGradWeighting(c=0.4)),
        "imtl_g": (IMTLG(), aggregation.IMTLGWeighting),
        "nash": (NashMTL(), None),  # torchjd's takes the Jacobian, and needs cvxpy
        "fairgrad": (FairGrad(), lambda: aggregation.FairGradWeighting(alpha=2.0)),
        "aligned": (AlignedMTL(), aggregation.AlignedMTLWeighting),
        "upgrad": (UPGrad(), aggregation.UPGradWeighting),
        "dualproj": (DualProj(), aggregation.DualProjWeighting),
        "conflict_free": (ConFIG(), None),  # torchjd's takes the Jacobian
    }


def gramian(tasks: int, seed: int) -> Tensor:
    jacobian = np.random.default_rng(seed).normal(size=(tasks, 2 * tasks))
    jacobian[1::2] -= jacobian[0]
    products = torch.from_numpy(jacobian @ jacobian.T)
    return products / products.diagonal().max()


def measure(tasks: int, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds a call, minimum and median over the rounds, by "name" and "torchjd name"."""
    calls: dict[str, Weigh] = {"around": Equal()}
    positions = list(range(tasks))
    for name, (ours, theirs) in pairs(tasks).items():
        calls[name] = partial(ours.weigh, active=positions)
        if theirs is not None:
            try:
                calls[f"torchjd {name}"] = theirs()
            except ImportError:
                continue
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 2):
        products = gramian(tasks, number % 10)
        for name, call in calls.items():
            began = time.perf_counter()
            call(products)
            if number > 1:  # the first rounds warm up
                taken[name].append(1e3 * (time.perf_counter() - began))
    return {name: {"min": min(times), "median": float(np.median(times))} for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default="2,4,8,16,40")
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sizes = [int(size) for size in asked.tasks.split(",")]
    found = {tasks: measure(tasks, asked.rounds) for tasks in sizes}
    print(f"{'ms a call: minimum, median':26}" + "".join(f"{f'T = {tasks}':>18}" for tasks in sizes))
    for name in found[sizes[0]]:
        cells = (f"{found[tasks][name]['min']:9.3f}{found[tasks][name]['median']:9.3f}" for tasks in sizes)
        print(f"{name:26}" + "".join(cells))
    figures = [
        at_most(f"{name} at {tasks} tasks, ms a call", found[tasks][name]["median"], limit)
        for tasks in sizes
        for name, limit in LIMIT.items()
        if tasks <= 16
    ]
    for tasks in sizes:
        for name in NO_SLOWER:
            ours, theirs = found[tasks][name]["median"], found[tasks][f"torchjd {name}"]["median"]
            figures.append(at_most(f"{name} at {tasks} tasks, ours / torchjd's", ours / theirs, 1.0))
    rounded = {
        str(tasks): {name: {key: round(value, 4) for key, value in each.items()} for name, each in methods.items()}
        for tasks, methods in found.items()
    }
    finish("solvers", figures, ms=rounded)


if __name__ == "__main__":
    main()
