"""What every sharing architecture must satisfy. A new one joins with one line in `CASES`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trunkline.balance import Equal, FromTorchJD, GramianBalancer
from trunkline.balance.fork import Fork
from trunkline.balance.parameter_fork import fork_at_parameters
from trunkline.errors import UserError
from trunkline.network import Network
from trunkline.nn.embedding import Embedding
from trunkline.nn.inputs import FeatureSlice
from trunkline.nn.mlp import Layers
from trunkline.optim.param_groups import Subnets
from trunkline.sharing import Sharing
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.sharing.experts import StackedLinear
from trunkline.tasks import Binary, task_losses
from trunkline.towers import Towers

WIDTH = 5
FEATURES = {"page": FeatureSlice(column=0, rows=3, start=0, width=2)}
NAMES = [f"t{i}" for i in range(17)]
SMOOTH = Layers(activation="gelu")
"""No unit is dead by chance."""


def carry_by_owner(one: Sharing, other: Sharing, order: Sequence[int]) -> None:
    """Give `other`, whose tasks are `one`'s in another order, what belongs to each task and to all."""
    owners = one.parameters_by_subnet()
    for name, parameters in other.parameters_by_subnet().items():
        for mine, theirs in zip(parameters, owners[name], strict=True):
            mine.data.copy_(theirs.data)


def carry_with_rows_of_shared_gates(one: Sharing, other: Sharing, order: Sequence[int]) -> None:
    """A gate that is shared has a row for each task's experts."""
    carry_by_owner(one, other, order)
    for level, theirs in zip(other.levels, one.levels, strict=True):
        if theirs.common is not None and theirs.common.weight is not None:
            shared, *own = theirs.common.weight.data.split(theirs.counts)
            level.common.weight.data.copy_(torch.cat([shared, *(own[t] for t in order)]))


def carry_with_stitches(one: Sharing, other: Sharing, order: Sequence[int]) -> None:
    """A stitch has a row and a column for each task."""
    carry_by_owner(one, other, order)
    for stitch, theirs in zip(other.stitches, one.stitches, strict=True):
        stitch.data.copy_(theirs.data[order][:, order])
    for row in other.gate:
        row.data.copy_(row.data[order].clone())


@dataclass(frozen=True)
class Case:
    """An architecture with some options, which may depend on the tasks' names."""

    kind: str
    options: Mapping[str, Any] | Callable[[Sequence[str]], Mapping[str, Any]] = field(default_factory=dict)
    carry: Callable[[Sharing, Sharing, Sequence[int]], None] = carry_by_owner

    def make(self, tasks: Sequence[str], *, layers: Layers | None = None, seed: int = 0) -> Sharing:
        """In evaluation mode and float64."""
        architecture = ARCHITECTURES.find(self.kind)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return (
                ARCHITECTURES.make(
                    self.kind,
                    self.options(tasks) if callable(self.options) else self.options,
                    in_features=WIDTH * len(tasks) if architecture.separate else WIDTH,
                    tasks=tasks,
                    features=FEATURES,
                    layers=layers or Layers(),
                )
                .double()
                .eval()
            )


def unequal(tasks: Sequence[str]) -> dict[str, int]:
    return {task: int(task[1:]) % 3 for task in tasks}


CASES = {
    "shared_bottom": Case("shared_bottom", {"hidden": [7, 4]}),
    "mmoe": Case("mmoe", {"experts": 3, "hidden": [7, 4]}),
    "mmoe, one expert": Case("mmoe", {"experts": 1, "hidden": [4]}),
    "omoe": Case("omoe", {"experts": 3, "hidden": [7, 4]}),
    "omoe, one expert": Case("omoe", {"experts": 1, "hidden": [4]}),
    "cgc": Case("cgc", {"shared": 2, "specific": 2, "hidden": [7, 4]}),
    "cgc, unequal": Case("cgc", lambda tasks: {"shared": 1, "specific": unequal(tasks), "hidden": [4]}),
    "cgc, nothing shared": Case("cgc", {"shared": 0, "specific": 2, "hidden": [4]}),
    "cgc, nothing specific": Case("cgc", {"shared": 3, "specific": 0, "hidden": [4]}),
    "ple": Case("ple", {"shared": 2, "specific": 2, "hidden": [[7], [6, 4]]}, carry_with_rows_of_shared_gates),
    "ple, one level": Case("ple", {"shared": 2, "specific": 1, "hidden": [[7, 4]]}),
    "ple, unequal": Case(
        "ple",
        lambda tasks: {"shared": [1, 3, 2], "specific": [unequal(tasks), 1, unequal(tasks)], "hidden": [[6], [5], [4]]},
        carry_with_rows_of_shared_gates,
    ),
    "ple, few read on": Case(
        "ple",
        lambda tasks: {"shared": [2, 0, 1], "specific": [1, 1, unequal(tasks)], "hidden": [[6], [5], [4]]},
        carry_with_rows_of_shared_gates,
    ),
    "ple, nothing shared": Case("ple", {"shared": [1, 0], "specific": [1, 2], "hidden": [[6], [4]]}),
    "dselect_k": Case("dselect_k", {"experts": 4, "k": 2, "hidden": [7, 4], "entropy": 0.1}),
    "dselect_k, per example": Case("dselect_k", {"experts": 4, "k": 2, "hidden": [4], "per_example": True}),
    "dselect_k, five": Case(
        "dselect_k", {"experts": 5, "k": 3, "hidden": [4], "gamma": 2.0, "per_example": True, "entropy": 0.1}
    ),
    "dselect_k, one of three": Case("dselect_k", {"experts": 3, "k": 1, "hidden": [4]}),
    "dselect_k, one expert": Case("dselect_k", {"experts": 1, "k": 1, "hidden": [4]}),
    "single": Case("single", {"hidden": [7, 4]}),
    "single, one layer": Case("single", {"hidden": [4]}),
    "cross_stitch": Case("cross_stitch", {"hidden": [7, 4]}, carry_with_stitches),
    "cross_stitch, one layer": Case("cross_stitch", {"hidden": [4]}, carry_with_stitches),
    "cross_stitch, nothing stitched": Case("cross_stitch", {"hidden": [6, 5, 4], "keep": 1.0}, carry_with_stitches),
    "cross_stitch, per channel": Case("cross_stitch", {"hidden": [6, 4], "per_channel": True}, carry_with_stitches),
    "mtan": Case("mtan", {"hidden": [7, 4]}),
    "mtan, one layer": Case("mtan", {"hidden": [4]}),
    "mtan, three layers": Case("mtan", {"hidden": [6, 6, 4]}),
    "aitm": Case("aitm", lambda tasks: {"hidden": [7, 4], "chain": sorted(tasks)}),
    "aitm, backwards": Case("aitm", lambda tasks: {"hidden": [4], "chain": sorted(tasks, reverse=True)}),
    "star": Case("star", {"hidden": [7, 4], "domain": "page"}),
    "star, one layer": Case("star", {"hidden": [4], "domain": "page"}),
    "pepnet": Case("pepnet", {"hidden": [7, 4], "prior": ["page"]}),
    "pepnet, one layer": Case("pepnet", {"hidden": [4], "gate_hidden": 3, "prior": ["page"]}),
}
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
each_size = pytest.mark.parametrize(("tasks", "n"), [(1, 1), (1, 6), (2, 1), (17, 6)])


def test_every_architecture_of_the_table_is_here():
    assert {case.kind for case in CASES.values()} == set(ARCHITECTURES)


def rows(sharing: Sharing, n: int, *, grad: bool = False) -> tuple[Tensor, Tensor]:
    """Features and ids, in which every page occurs if there are rows enough."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, sharing.in_features, generator=generator, dtype=torch.float64)
    return x.requires_grad_(grad), torch.arange(n)[:, None] % FEATURES["page"].rows


def objective(branches: Sequence[Tensor]) -> Tensor:
    """No two tasks want the same."""
    return sum(((t - 1.3) * branch - 0.3 * t).square().mean() for t, branch in enumerate(branches))


def gradients(sharing: Sharing, x: Tensor) -> dict[str, Tensor]:
    """Of every parameter and the features, zeros where there is none; taken away."""
    found = {name: p.grad for name, p in [*sharing.named_parameters(), ("x", x)]}
    shapes = dict([*sharing.named_parameters(), ("x", x)])
    for p in shapes.values():
        p.grad = None
    return {name: torch.zeros_like(shapes[name]) if grad is None else grad for name, grad in found.items()}


def named(sharing: Sharing, parameters: Sequence[nn.Parameter]) -> set[str]:
    wanted = {id(p) for p in parameters}
    return {name for name, p in sharing.named_parameters() if id(p) in wanted}


def reached(outputs: Sequence[Tensor], sharing: Sharing) -> set[str]:
    """The parameters on which the outputs depend."""
    total = sum(((i + 1) * output).sum() for i, output in enumerate(outputs) if output.requires_grad)
    if not isinstance(total, Tensor):
        return set()
    found = torch.autograd.grad(total, list(sharing.parameters()), allow_unused=True)
    names = [name for name, _ in sharing.named_parameters()]
    return {name for name, gradient in zip(names, found, strict=True) if gradient is not None}


def close(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@each
@each_size
@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_every_task_gets_a_tensor_of_the_width_announced(case, tasks, n, train):
    sharing = case.make(NAMES[:tasks]).train(train)
    branches = sharing(rows(sharing, n)[0], Fork(tasks, Equal()).split, rows(sharing, n)[1])
    assert len(branches) == tasks
    assert all(branch.shape == (n, sharing.out_features) for branch in branches)
    assert all(branch.isfinite().all() for branch in branches)
    objective(branches).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in sharing.parameters())


@each
@pytest.mark.parametrize(
    "layers",
    [
        Layers(norm="batch", activation="gelu", residual=True),
        Layers(norm="layer", dropout=0.2, activation="tanh", residual=True),
        Layers(dropout=0.2, activation="leaky_relu"),
    ],
    ids=["batch", "layer", "dropout"],
)
@pytest.mark.parametrize("n", [1, 8])
def test_layers_of_every_make_train_and_evaluate(case, layers, n):
    sharing = case.make(NAMES[:2], layers=layers).train()
    for _ in range(2):
        x, ids = rows(sharing, n, grad=True)
        objective(sharing(x, Fork(2, Equal()).split, ids)).backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in [x, *sharing.parameters()])
    once, twice = (sharing.eval()(x, Fork(2).split, ids) for _ in range(2))
    for one, other in zip(once, twice, strict=True):
        assert one.isfinite().all()
        assert torch.equal(one, other)


@each
@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_every_parameter_has_one_owner_and_no_part_of_it_is_dead(case, tasks):
    """An expert that no task reads, or a gate whose choice nobody reads, would have a row of zeros."""
    sharing = case.make(NAMES[:tasks], layers=SMOOTH).train()
    subnets = Subnets([sharing], sharing.parameters_by_subnet())  # refuses what is not a partition
    assert all(subnets.values())
    assert all(name.split(".")[-1] in ["shared", "domain", *NAMES[:tasks]] for name in subnets)
    x, ids = rows(sharing, 64, grad=True)
    objective(sharing(x, Fork(tasks, Equal()).split, ids)).backward()
    for name, parameter in sharing.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.flatten(min(1, parameter.dim() - 1)).any(-1).all(), name
    for module in sharing.modules():
        if isinstance(module, StackedLinear):
            assert module.weight.grad.flatten(1).any(1).all()
    assert x.grad.any()


@each
def test_each_row_stands_for_itself(case):
    sharing = case.make(NAMES[:3])
    x, ids = rows(sharing, 5)
    whole = sharing(x, Fork(3, Equal()).split, ids)
    for i in range(5):
        alone = sharing(x[i : i + 1], Fork(3, Equal()).split, ids[i : i + 1])
        close([branch[i : i + 1] for branch in whole], list(alone))


@each
@pytest.mark.parametrize("tasks", [1, 3])
def test_the_cut_uses_what_it_says_and_nothing_else(case, tasks):
    sharing = case.make(NAMES[:tasks], layers=SMOOTH).train()
    x, ids = rows(sharing, 8)
    cut = sharing.shared(x, ids)
    assert len({id(tensor) for tensor in cut}) == len(cut)
    assert reached(cut, sharing) == named(sharing, sharing.shared_parameters())
    assert len(named(sharing, sharing.shared_parameters())) == len(sharing.shared_parameters()), "each once"


@each
def test_each_task_reads_its_own_copies_alone(case):
    sharing = case.make(NAMES[:3], layers=SMOOTH).train()
    cut = [tensor.detach() for tensor in sharing.shared(*rows(sharing, 8))]
    same = sharing.per_task([cut] * 3)
    copies = [[tensor.clone().requires_grad_() for tensor in cut] for _ in range(3)]
    apart = sharing.per_task(copies)
    close(list(same), list(apart))
    leaves = [tensor for copy in copies for tensor in copy]
    for t, output in enumerate(apart):
        weights = torch.arange(1.0, 1 + output.numel(), dtype=output.dtype).view_as(output)
        found = torch.autograd.grad((weights * output).sum(), leaves, retain_graph=True, allow_unused=True)
        moved = [gradient is not None and bool(gradient.any()) for gradient in found]
        assert [any(moved[k * len(cut) : (k + 1) * len(cut)]) for k in range(3)] == [k == t for k in range(3)]


@each
def test_gradients_of_tasks_in_one_go_are_those_of_each_copy(case):
    """Where nothing is balanced all tasks may be computed as one."""
    found = []
    for balancer in (None, Equal(), FromTorchJD(aggregator="Sum")):
        sharing = case.make(NAMES[:3]).train()
        x, ids = rows(sharing, 8, grad=True)
        objective(sharing(x, Fork(3, balancer).split, ids)).backward()
        found.append(gradients(sharing, x))
    close(found[0], found[1])
    close(found[0], found[2])


@each
def test_balancing_weighs_all_before_the_cut_and_nothing_behind_it(case):
    class Twice(GramianBalancer):
        def weigh(self, gramian: Tensor, active: Sequence[int]) -> Tensor:
            return torch.full((len(gramian),), 2.0, dtype=gramian.dtype)

    found = []
    for balancer in (Equal(), Twice(rescale=False)):
        sharing = case.make(NAMES[:3])
        x, ids = rows(sharing, 8, grad=True)
        objective(sharing(x, Fork(3, balancer).split, ids)).backward()
        found.append(gradients(sharing, x))
    weighed = named(sharing, sharing.shared_parameters()) | {"x"}
    close(found[1], {name: (2 if name in weighed else 1) * grad for name, grad in found[0].items()})


@each
def test_one_tasks_loss_alone_reaches_what_is_shared(case):
    sharing = case.make(NAMES[:3])
    x, ids = rows(sharing, 32, grad=True)
    for task in range(3):
        sharing(x, Fork(3, Equal()).split, ids)[task].square().sum().backward()
        found = gradients(sharing, x)
        shared = named(sharing, sharing.parameters_by_subnet().get("shared", ())) & named(
            sharing, sharing.shared_parameters()
        )
        assert not shared or any(found[name].any() for name in shared)
        assert found["x"].any()


@each
def test_the_exact_path_balances_by_all_that_the_cut_uses(case):
    found = []
    for exact in (True, False):
        sharing = case.make(NAMES[:3])
        x, ids = rows(sharing, 8, grad=True)
        fork = Fork(3, Equal())
        if exact:
            cut = [lambda x, sharing=sharing, ids=ids: sharing.shared(x, ids), [x], sharing.shared_parameters()]
            branches = sharing.per_task(fork_at_parameters(fork, *cut))
        else:
            branches = sharing(x, Fork(3).split, ids)
        objective(branches).backward()
        found.append(gradients(sharing, x))
    close(*found)


@each
def test_a_network_balances_exactly_tables_included(case):
    if ARCHITECTURES.find(case.kind).separate:
        pytest.skip("tasks that share nothing have nothing to balance")
    tasks, found = [Binary(name=name) for name in NAMES[:3]], []
    for at, balancer in (("parameters", Equal()), ("fork", None)):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            sharing = case.make(NAMES[:3])
            towers = Towers(tasks, sharing.out_features, [])
            network = Network(Embedding([3], [2], 3), sharing, Fork(3, balancer), towers, at=at).double()
        numbers = torch.randn(8, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        raws = network(torch.arange(8)[:, None] % 3, numbers)
        labels = {task.name: (numbers[:, t] > 0).double() for t, task in enumerate(tasks)}
        network.losses(raws, labels)[0].sum().backward()
        found.append({name: p.grad for name, p in network.named_parameters() if p.grad is not None and p.grad.any()})
    close(*found)


@each
@pytest.mark.parametrize("n", [1, 8])
def test_a_task_without_a_label_stands_still_and_moves_nothing(case, n):
    tasks = [Binary(name=name) for name in NAMES[:3]]
    found = []
    for labels_of_last in (True, False):
        sharing = case.make(NAMES[:3]).train()
        x, ids = rows(sharing, n, grad=True)
        branches = sharing(x, Fork(3, Equal()).split, ids)
        raws = {task.name: branch.sum(1, keepdim=True) for task, branch in zip(tasks, branches, strict=True)}
        labels = {task.name: torch.arange(n).double() % 2 for task in tasks}
        if labels_of_last:
            labels["t2"] = torch.full((n,), torch.nan)
            losses, active = task_losses(tasks, raws, labels)
            assert active.tolist() == [True, True, False]
        else:
            losses, _ = task_losses(tasks[:2], raws, labels)
        losses.sum().backward()
        found.append(gradients(sharing, x))
    assert all(gradient.isfinite().all() for gradient in found[0].values())
    close(*found)
    own = [p for name, some in sharing.parameters_by_subnet().items() if name.endswith(".t2") for p in some]
    still = named(sharing, own) - named(sharing, sharing.shared_parameters())
    assert all(not found[0][name].any() for name in still)


@each
@pytest.mark.parametrize("order", [[2, 0, 1], [1, 0, 2]], ids=str)
def test_permuting_the_tasks_permutes_what_they_read(case, order):
    one = case.make(NAMES[:3])
    other = case.make([NAMES[t] for t in order], seed=1)
    case.carry(one, other, order)
    x, ids = rows(one, 8)
    theirs = x
    if one.separate:
        theirs = torch.cat([x.chunk(3, dim=1)[t] for t in order], dim=1)
    expected = one(x, Fork(3, Equal()).split, ids)
    close(list(other(theirs, Fork(3, Equal()).split, ids)), [expected[t] for t in order])


@each
@pytest.mark.parametrize(("tasks", "n"), [(1, 4), (3, 1), (3, 6)])
def test_shares_of_every_gate_sum_to_one(case, tasks, n):
    sharing = case.make(NAMES[:tasks])
    gates = sharing.gates(*rows(sharing, n))
    for name, shares in gates.items():
        assert all(share.shape == (n,) and (share >= 0).all() for share in shares.values()), name
        close(sum(shares.values()), torch.ones(n).double())
    experts = {expert for shares in gates.values() for expert in shares}
    count = sum(len(module.weight) for module in sharing.modules() if isinstance(module, StackedLinear))
    assert (count == 0) == (not gates)
    assert len(experts) <= count


@each
def test_the_state_makes_a_copy(case):
    one, other = case.make(NAMES[:2]), case.make(NAMES[:2], seed=7)
    other.load_state_dict(one.state_dict())
    x, ids = rows(one, 4)
    for a, b in zip(one(x, Fork(2).split, ids), other(x, Fork(2).split, ids), strict=True):
        assert torch.equal(a, b)


@each
def test_a_task_may_have_any_name(case):
    tasks = ["shared", "training", "t1", "gate"]
    if callable(case.options):
        pytest.skip("its options tell tasks by t0, t1 …")
    sharing = case.make(tasks)
    assert len(sharing.gates(*rows(sharing, 2))) == len(case.make(NAMES[:4]).gates(*rows(sharing, 2)))
    for shares in sharing.gates(*rows(sharing, 2)).values():
        close(sum(shares.values()), torch.ones(2).double())
    Subnets([sharing], sharing.parameters_by_subnet())


class Exported(nn.Module):
    def __init__(self, sharing: Sharing, tasks: int) -> None:
        super().__init__()
        self.sharing, self.fork = sharing, Fork(tasks)

    def forward(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        return self.sharing(x, self.fork.split, ids)


@pytest.mark.parametrize(
    ("name", "layers"),
    [(name, Layers()) for name in CASES] + [(kind, Layers(norm="batch", dropout=0.1)) for kind in ARCHITECTURES],
    ids=lambda value: value if isinstance(value, str) else value.norm,
)
def test_it_is_exported_for_batches_of_any_size(name, layers):
    module = Exported(CASES[name].make(NAMES[:2], layers=layers), 2).eval()
    batch = torch.export.Dim("batch")
    shapes = ({0: batch}, {0: batch})
    program = torch.export.export(module, rows(module.sharing, 4), dynamic_shapes=shapes).module()
    for n in (1, 2, 5):
        close(list(program(*rows(module.sharing, n))), list(module(*rows(module.sharing, n))))


@each
def test_a_fork_of_another_number_of_branches_is_refused(case):
    sharing = case.make(NAMES[:3])
    if sharing.tasks is None:
        return  # it has nothing of the tasks' own
    with pytest.raises(UserError, match="3 tasks need 3 branches, got 2"):
        sharing(rows(sharing, 4)[0], Fork(2, Equal()).split, rows(sharing, 4)[1])


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_impossible_widths_are_refused(kind):
    case = next(case for case in CASES.values() if case.kind == kind)
    options = case.options(NAMES[:2]) if callable(case.options) else case.options
    nested = isinstance(options["hidden"][0], list)
    with pytest.raises(UserError, match="each must be at least 1"):
        Case(kind, {**options, "hidden": [[4], [0]] if nested else [4, 0]}).make(NAMES[:2])
