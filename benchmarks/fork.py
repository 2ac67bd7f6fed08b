"""What balancing costs beside the plain summed step: gradients at the fork, losses, and torchjd's `mtl_backward`.

Network: 429 numeric inputs, trunk 256-128, one tower 64-1 a task; batch 2048; fused Adam; random inputs. All methods
take turns, a few steps each, in every round, so that a machine whose speed drifts slows all of them. A step is
zero_grad, forward, losses, backward, optimiser.

Run: python benchmarks/fork.py [--tasks 2 4 8] [--rounds 15] [--methods pcgrad …] [--objectives famo …]
Prints a table, and as the last line one JSON object.
"""

import argparse
import time
from collections.abc import Callable

import torch
from goals import at_most, finish
from torch import Tensor
from torch.nn import functional as F

from trunkline import Embedding, Fork, Network, Towers
from trunkline.balance import GramianBalancer
from trunkline.balance.methods import GRADIENTS, OBJECTIVES, make_method
from trunkline.sharing import SharedBottom
from trunkline.tasks import Binary

BATCH, INPUTS, STEPS = 2048, 429, 3
LIMIT = 1.15


def network(tasks: int, method: str | None, every: int = 1) -> Network:
    torch.manual_seed(0)
    kinds = [Binary(name=f"t{i}") for i in range(tasks)]
    balancer = None
    if method is not None:
        names = [kind.name for kind in kinds]
        balancer = make_method(GRADIENTS, method, {}, tasks=names, exponents=[1.0] * tasks, parameters=0)
    embedding = Embedding([], [], INPUTS)
    return Network(
        embedding, SharedBottom(INPUTS, [256, 128]), Fork(tasks, balancer, update_every=every), Towers(kinds, 128, [64])
    )


def our_step(tasks: int, method: str | None, objective: str = "sum", every: int = 1) -> Callable[[], None]:
    net = network(tasks, method, every)
    names = [task.name for task in net.tasks]
    options = {"weights": [1.0] * tasks} if objective == "fixed" else {}
    merge = make_method(OBJECTIVES, objective, options, tasks=names, exponents=[1.0] * tasks, parameters=0)
    optimizer = torch.optim.Adam([*net.parameters(), *merge.parameters()], fused=True)
    net.fork.measure = "norms" in merge.observes
    active = torch.ones(tasks, dtype=torch.bool)
    ids, numbers, labels = (
        torch.empty(BATCH, 0, dtype=torch.int64),
        torch.randn(BATCH, INPUTS),
        torch.rand(BATCH, tasks),
    )

    def losses() -> Tensor:
        raws = torch.cat(list(net(ids, numbers).values()), dim=1)
        return F.binary_cross_entropy_with_logits(raws, labels.round(), reduction="none").mean(0)

    def step() -> None:
        optimizer.zero_grad()
        merge(losses()).backward()
        optimizer.step()
        if merge.observes:
            with torch.no_grad():
                after = losses() if "losses" in merge.observes else None
            merge.observe(active, losses=after, norms=net.fork.gramian.diagonal().sqrt())

    return step


def torchjd_step(tasks: int) -> Callable[[], None]:
    from torchjd.aggregation import UPGrad
    from torchjd.autojac import jac_to_grad, mtl_backward

    net, aggregator = network(tasks, None), UPGrad()
    optimizer = torch.optim.Adam(net.parameters(), fused=True)
    shared = list(net.sharing.parameters())
    numbers, labels = torch.randn(BATCH, INPUTS), torch.rand(BATCH, tasks)
    ids = torch.empty(BATCH, 0, dtype=torch.int64)

    def step() -> None:
        optimizer.zero_grad()
        features = net.sharing.shared(numbers, ids)[0]
        raws = net.towers([features] * tasks).values()
        # its backward wants a graph of its own for each task
        losses = [
            F.binary_cross_entropy_with_logits(raw[:, 0], label)
            for raw, label in zip(raws, labels.round().unbind(1), strict=True)
        ]
        mtl_backward(losses, features=features, shared_params=shared, parallel_chunk_size=1)
        jac_to_grad(shared, aggregator)
        optimizer.step()

    return step


def measure(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, tuple[float, float]]:
    """Least wall and CPU milliseconds of a step, by method."""
    least = {name: (float("inf"), float("inf")) for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(STEPS):
                step()
            if number:  # the first round warms up
                took = ((time.perf_counter() - wall) / STEPS * 1e3, (time.process_time() - cpu) / STEPS * 1e3)
                least[name] = tuple(map(min, least[name], took))
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    gramian = [name for name, method in GRADIENTS.items() if issubclass(method, GramianBalancer)]
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--methods", nargs="*", default=gramian)
    parser.add_argument("--objectives", nargs="*", default=[name for name in OBJECTIVES if name != "sum"])
    asked = parser.parse_args()
    ratios: dict[str, dict[str, float]] = {}
    print(f"{torch.get_num_threads()} threads; least of {asked.rounds} rounds; ratio to the plain sum")
    for tasks in asked.tasks:
        steps = {"plain sum": our_step(tasks, None)}
        steps |= {method: our_step(tasks, method) for method in asked.methods}
        steps["upgrad, every 3"] = our_step(tasks, "upgrad", every=STEPS)
        steps |= {objective: our_step(tasks, None, objective) for objective in asked.objectives}
        steps["torchjd mtl_backward upgrad"] = torchjd_step(tasks)
        least = measure(steps, asked.rounds)
        plain_wall, plain_cpu = least["plain sum"]
        for name, (wall, cpu) in least.items():
            print(
                f"T = {tasks}  {name:28} {wall:7.2f} ms {wall / plain_wall:6.3f}"
                f"   CPU {cpu:7.2f} ms {cpu / plain_cpu:6.3f}"
            )
            ratios.setdefault(name, {})[str(tasks)] = round(cpu / plain_cpu, 3)
    ours = [ratio for name in asked.methods for ratio in ratios[name].values()]
    worst = at_most("CPU of a step, worst method / plain sum", max(ours), LIMIT)
    finish("fork", [worst], cpu_ratio=ratios)


if __name__ == "__main__":
    main()
