from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import multiprocessing

from trunkline.balance import Uncertainty
from trunkline.balance.distributed import mean_over_processes
from trunkline.balance.objectives.dwa import DWA
from trunkline.balance.objectives.famo import FAMO
from trunkline.balance.objectives.gradnorm import GradNorm
from trunkline.balance.objectives.imtl_l import IMTLL
from trunkline.balance.objectives.revised_uncertainty import RevisedUncertainty
from trunkline.balance.objectives.rlw import RLW
from trunkline.balance.objectives.stch import STCH
from trunkline.balance.objectives.uw_so import UWSO

STEPS = 4
LOSSES = torch.rand(STEPS, 2, 4, generator=torch.Generator().manual_seed(0)) * 5 + 0.1
ACTIVE = torch.tensor([[[True, True, False, i % 2 == 0], [True, False, False, True]] for i in range(STEPS)])


def several():
    """Balancers with a state that follows the losses, and those whose weights do."""
    return {
        "uncertainty": Uncertainty(4),
        "revised": RevisedUncertainty(4),
        "imtl": IMTLL(4),
        "dwa": DWA(4, window=1),
        "famo": FAMO(4),
        "stch": STCH(4, warmup=3),
        "gradnorm": GradNorm(4),
        "rlw": RLW(4),
        "uwso": UWSO(4),
    }


def run(part):
    """States, and last weights, after steps with the losses and activities that `part` picks from a step's."""
    balancers = several()
    weights = {}
    for step in range(STEPS):
        losses, active = part(LOSSES[step], ACTIVE[step])
        for name, balancer in balancers.items():
            leaf = losses.clone().requires_grad_()
            weights[name] = torch.autograd.grad(balancer(leaf, active), leaf)[0]
            balancer.observe(active, losses=losses * torch.tensor([0.9, 0.5, 0.7, 1.1]), norms=losses * 2)
    return {name: balancer.state_dict() for name, balancer in balancers.items()}, weights


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mean, active = mean_over_processes(torch.tensor([rank + 1.0, 5.0]), torch.tensor([True, rank == 1]))
    assert (mean.tolist(), active.tolist()) == ([1.5, 5.0], [True, True])
    if rank == 0:  # a question that one process asks by itself must not wait for the others
        for balancer in several().values():
            balancer.effective_weights(torch.ones(4))
    torch.save(run(lambda losses, active: (losses[rank], active[rank])), f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="this torch has no gloo")
def test_processes_with_batches_of_their_own_keep_one_state(tmp_path: Path):
    multiprocessing.spawn(_process, (str(tmp_path),), nprocs=2)
    (first, one), (second, other) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))

    def together(losses, active):
        count = active.sum(0)
        return torch.where(active, losses, 0.0).sum(0) / count.clamp(min=1), count > 0

    single, weights = run(together)
    for name in single:
        for key, value in single[name].items():
            if key in ("before", "waiting") and name == "famo":
                continue  # of this process's own batch, and reduced when the step's outcome is told
            assert torch.equal(first[name][key], second[name][key]), (name, key)
            torch.testing.assert_close(first[name][key], value, rtol=1e-4, atol=1e-5)
    # Where both processes see the task, their weights are one.
    for name in ("dwa", "gradnorm", "rlw", "uwso"):
        assert one[name][0] == other[name][0]
        torch.testing.assert_close(one[name][0], weights[name][0], rtol=1e-4, atol=1e-5)


def test_without_processes_nothing_is_averaged():
    mean, active = mean_over_processes(torch.tensor([1.0, torch.nan]), torch.tensor([True, False]))
    assert (mean.tolist(), active.tolist()) == ([1.0, 0.0], [True, False])
