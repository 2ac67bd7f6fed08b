import sys

import pytest
import torch
from torchjd import aggregation

from trunkline.balance import FromTorchJD
from trunkline.balance.fork import Fork
from trunkline.errors import UserError


def _random(tasks, width, seed=0):
    return torch.randn(tasks, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


STATELESS = {
    "AlignedMTL": {},
    "AlignedMTL, median": {"scale_mode": "median"},
    "CAGrad": {"c": 0.4},
    "ConFIG": {},
    "Constant": {"weights": torch.tensor([0.5, 2.0, 0.0, 1.0], dtype=torch.float64)},
    "IMTLG": {},
    "Krum": {"n_byzantine": 1},
    "MGDA": {},
    "Mean": {},
    "Sum": {},
    "TrimmedMean": {"trim_number": 1},
    "UPGrad": {},
}


@pytest.mark.parametrize("name", STATELESS)
def test_a_name_and_arguments_make_the_aggregator(name):
    kind, jacobian = name.split(",")[0], _random(4, 7)
    try:
        expected = getattr(aggregation, kind)(**STATELESS[name])
    except ImportError as error:
        pytest.skip(str(error))
    made = FromTorchJD(aggregator=kind, arguments=STATELESS[name])
    assert torch.equal(made(jacobian), expected(jacobian))
    assert torch.equal(FromTorchJD(aggregator=expected)(jacobian), expected(jacobian))


@pytest.mark.parametrize("name", ["Random", "GradDrop", "PCGrad"])
def test_random_aggregators_draw_from_torchs_generator(name):
    jacobian, balancer = _random(4, 50), FromTorchJD(aggregator=name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one, other = balancer(jacobian), balancer(jacobian)
        torch.manual_seed(0)
        assert torch.equal(balancer(jacobian), one)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", ["ExcessMTL", "GradVac", "PCD"])
def test_aggregators_with_a_state_are_refused(name):
    kind = getattr(aggregation, name)
    for aggregator in (name, kind()):
        with pytest.raises(UserError, match=rf"{name} keeps state .* take moco, db_mtl or excess_mtl"):
            FromTorchJD(aggregator=aggregator)


def test_a_state_inside_an_aggregator_is_found_too():
    inside = aggregation.WeightedAggregator(aggregation.ExcessMTLWeighting())
    with pytest.raises(UserError, match="keeps state"):
        FromTorchJD(aggregator=inside)


def test_an_aggregator_whose_solver_is_not_installed_is_refused():
    if "cvxpy" in sys.modules:
        pytest.skip("cvxpy is here")
    with pytest.raises(UserError, match="NashMTL"):
        FromTorchJD(aggregator="NashMTL", arguments={"n_tasks": 3})


@pytest.mark.parametrize("name", ["UPGrd", "upgrad", "Aggregator", "Weighting", "nn", "", 3, ["Mean"], None])
def test_unknown_aggregators_are_refused_with_those_there_are(name):
    with pytest.raises(UserError, match=r"has no aggregator .*it has: .*AlignedMTL.*UPGrad") as error:
        FromTorchJD(aggregator=name)
    assert ("did you mean 'UPGrad'" in str(error.value)) == (name == "UPGrd")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("CAGrad", {}), ("CAGrad", {"c": -1.0}), ("Mean", {"c": 1.0}), ("TrimmedMean", {"trim_number": -1})],
)
def test_arguments_that_torchjd_refuses_are_named(name, arguments):
    with pytest.raises(UserError, match=f"torchjd's {name} refuses"):
        FromTorchJD(aggregator=name, arguments=arguments)


def test_too_few_active_tasks_for_an_aggregator_are_named():
    fork = Fork(4, FromTorchJD(aggregator="TrimmedMean", arguments={"trim_number": 1}))
    shared = torch.ones(3, requires_grad=True)
    copies = fork(shared)
    with pytest.raises(UserError, match="torchjd's TrimmedMean cannot combine the gradients of 2 active tasks"):
        (copies[0].sum() + 2 * copies[3].sum()).backward()


def test_without_torchjd_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(UserError, match=r"torchjd is not installed .*pip install 'trunkline\[torchjd\]'"):
        FromTorchJD(aggregator="Mean")
