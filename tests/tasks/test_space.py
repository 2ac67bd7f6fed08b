"""Joint probabilities: against float64 autograd, and against what they are."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trunkline.errors import UserError
from trunkline.nn.mlp import Layers
from trunkline.tasks import Binary, Regression, check_tasks, joint, sample_space, task_losses
from trunkline.tasks.space import join
from trunkline.towers import Towers

CLICK = Binary(name="click")
BUY = Binary(name="buy", space="click")
PAY = Binary(name="pay", space="buy")
CHAIN = [CLICK, BUY, PAY]
HALF = [torch.float16, torch.bfloat16]


def logits(*rows, grad=False, dtype=torch.float64):
    return torch.tensor(rows, dtype=dtype)[:, None].requires_grad_(grad)


def drawn(names, n=64, *, seed=0, spread=3.0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (torch.randn(n, 1, generator=generator, dtype=torch.float64) * spread).requires_grad_() for name in names
    }


def events(n=64, *, seed=0):
    """Labels of the chain, in which nothing happens that cannot."""
    generator = torch.Generator().manual_seed(seed)
    click, buy, pay = (torch.rand(3, n, generator=generator, dtype=torch.float64) < 0.6).double()
    return {"click": click, "buy": click * buy, "pay": click * buy * pay}


def gradients(loss: Tensor, raws):
    found = torch.autograd.grad(loss, list(raws.values()), allow_unused=True, retain_graph=True)
    return dict(zip(raws, found, strict=True))


@pytest.mark.parametrize("spread", [1, 6, 15])
def test_join_is_the_logit_of_the_product(spread):
    a, b = (x.detach() for x in drawn("ab", 4000, spread=spread).values())
    # 1 - pq as (1 - p) + p(1 - q): nothing in it cancels
    product, rest = a.sigmoid() * b.sigmoid(), (-a).sigmoid() + a.sigmoid() * (-b).sigmoid()
    expected = product.log() - rest.log()
    error = (join(a, b) - expected).abs() / expected.abs().clamp(min=1)
    assert error.max() < 1e-14
    torch.testing.assert_close(join(a, b).sigmoid(), product, rtol=1e-13, atol=0)
    torch.testing.assert_close((-join(a, b)).sigmoid(), rest, rtol=1e-13, atol=0)


def test_float32_loses_nothing_where_probabilities_are_near_0_or_1():
    a, b = torch.meshgrid(torch.linspace(-60, 60, 97), torch.linspace(-60, 60, 97), indexing="ij")
    torch.testing.assert_close(join(a, b).double(), join(a.double(), b.double()), rtol=1e-6, atol=1e-6)


EXTREMES = [-1e4, -200.0, -90.0, -1.0, 0.0, 1.0, 90.0, 200.0, 1e4]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_join_is_finite_and_right_at_extreme_logits(dtype):
    pairs = torch.cartesian_prod(*[torch.tensor(EXTREMES, dtype=dtype)] * 2)
    a, b = pairs[:, 0].clone().requires_grad_(), pairs[:, 1].clone().requires_grad_()
    joined = join(a, b)
    assert joined.isfinite().all()
    da, db = torch.autograd.grad(joined.sum(), (a, b))
    for grad in (da, db):
        assert grad.isfinite().all()
        assert ((grad >= 0) & (grad <= 1 + 1e-6)).all()  # more of either is more of both
    # a sure condition adds nothing, and takes the whole gradient of the other
    sure = a == 1e4
    torch.testing.assert_close(joined[sure & (b < 1e4)], b[sure & (b < 1e4)], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(db[sure & (b < 1e4)], torch.ones_like(db[sure & (b < 1e4)]), rtol=1e-5, atol=1e-5)
    # where both are unlikely the logits add up
    rare = (a <= -90) & (b <= -90)
    torch.testing.assert_close(joined[rare], (a + b)[rare], rtol=1e-6, atol=0)
    torch.testing.assert_close(joined, join(b, a), rtol=1e-6, atol=1e-6)


def test_gradients_of_join():
    a, b = drawn("ab", 40, spread=8).values()
    assert torch.autograd.gradcheck(join, (a, b))
    assert torch.autograd.gradgradcheck(join, (a, b))


def test_a_chain_multiplies():
    raws = drawn(["click", "buy", "pay"])
    made = joint(CHAIN, raws)
    p = {name: raw.sigmoid() for name, raw in raws.items()}
    assert list(made) == ["click", "buy", "pay"]
    assert made["click"] is raws["click"]
    torch.testing.assert_close(made["buy"].sigmoid(), p["click"] * p["buy"])
    torch.testing.assert_close(made["pay"].sigmoid(), p["click"] * p["buy"] * p["pay"])
    assert (made["pay"] <= made["buy"]).all()
    assert (made["buy"] <= made["click"]).all()


@pytest.mark.parametrize("order", [[2, 0, 1], [1, 2, 0], [2, 1, 0]], ids=str)
def test_the_order_of_the_tasks_plays_no_part(order):
    tasks, raws, labels = CHAIN, drawn(["click", "buy", "pay"]), events()
    losses, _ = task_losses(tasks, raws, labels)
    moved, _ = task_losses([tasks[i] for i in order], {tasks[i].name: raws[tasks[i].name] for i in order}, labels)
    assert torch.equal(moved, losses[order])
    assert list(joint([tasks[i] for i in order], raws)) == [tasks[i].name for i in order]


def test_tasks_without_a_space_are_left_as_they_are():
    tasks = [CLICK, replace(BUY, space=None, where="click"), Regression(name="dwell")]
    raws = drawn(["click", "buy", "dwell"])
    assert all(joint(tasks, raws)[name] is raw for name, raw in raws.items())


@pytest.mark.parametrize("gradient", ["stop", "flow"])
def test_the_loss_is_the_cross_entropy_of_the_product(gradient):
    tasks = [replace(task, gradient=gradient) for task in CHAIN]
    raws, labels = drawn(["click", "buy", "pay"]), events()
    losses, active = task_losses(tasks, raws, labels)
    assert active.all()
    p = torch.ones(64, dtype=torch.float64)
    for task, loss in zip(tasks, losses, strict=True):
        p = p * raws[task.name][:, 0].sigmoid()
        y = labels[task.name]
        torch.testing.assert_close(loss, -(y * p.log() + (1 - y) * (1 - p).log()).mean())


def esmm(raws, labels):
    """Minus the log-likelihood of clicks and purchases over all rows (Ma et al. 2018, eq. 5), a row's mean."""
    click, buy = raws["click"][:, 0].sigmoid(), raws["buy"][:, 0].sigmoid()
    total = click.new_zeros(())
    for p, y in ((click, labels["click"]), (click * buy, labels["buy"])):
        total = total - (y * p.log() + (1 - y) * (1 - p).log()).mean()
    return total


def test_flow_trains_both_towers_as_the_paper_does():
    raws, labels = drawn(["click", "buy"]), events()
    losses, _ = task_losses([CLICK, replace(BUY, gradient="flow")], raws, labels)
    expected = gradients(esmm(raws, labels), raws)
    for name, grad in gradients(losses.sum(), raws).items():
        torch.testing.assert_close(grad, expected[name], rtol=1e-10, atol=1e-12)


def test_stop_keeps_the_joint_loss_out_of_the_outer_tower():
    raws, labels = drawn(["click", "buy"]), events()
    losses, _ = task_losses([CLICK, BUY], raws, labels)
    alone = gradients(losses[1], raws)
    assert alone["click"] is None or not alone["click"].any()
    assert alone["buy"].any()
    flowing, _ = task_losses([CLICK, replace(BUY, gradient="flow")], raws, labels)
    torch.testing.assert_close(alone["buy"], gradients(flowing[1], raws)["buy"])
    assert gradients(flowing[1], raws)["click"].any()


@pytest.mark.parametrize(
    ("buy", "pay", "reached"),
    [
        ("stop", "stop", {"pay"}),
        ("flow", "stop", {"pay"}),
        ("stop", "flow", {"buy", "pay"}),
        ("flow", "flow", {"click", "buy", "pay"}),
    ],
)
def test_each_step_of_a_chain_stops_or_flows_by_itself(buy, pay, reached):
    tasks = [CLICK, replace(BUY, gradient=buy), replace(PAY, gradient=pay)]
    raws = drawn(["click", "buy", "pay"])
    losses, _ = task_losses(tasks, raws, events())
    found = gradients(losses[2], raws)
    assert {name for name, grad in found.items() if grad is not None and grad.any()} == reached


@pytest.mark.parametrize("gradient", ["stop", "flow"])
def test_towers_that_are_read_and_multiplied(gradient):
    """The whole way through towers: `stop` leaves the outer tower's parameters alone."""
    torch.manual_seed(0)
    tasks = [CLICK, replace(BUY, reads=("click",), gradient=gradient)]
    towers = Towers(tasks, 5, [4], Layers(activation="tanh")).double()
    x = torch.randn(30, 5, dtype=torch.float64)
    losses, _ = task_losses(tasks, towers([x, x]), events(30))
    losses[1].backward()
    outer = [p.grad for p in towers.parameters_by_subnet()["tower.click"]]
    moved = [g is not None and bool(g.any()) for g in outer]
    assert moved == [gradient == "flow"] * len(outer)
    assert all(p.grad.any() for p in towers.parameters_by_subnet()["tower.buy"])


@pytest.mark.parametrize("gradient", ["stop", "flow"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("how", ["null label", "weight 0"])
def test_rows_that_take_no_part_send_back_exactly_zero(gradient, value, how):
    tasks = [CLICK, replace(BUY, gradient=gradient, weight="w"), replace(PAY, gradient=gradient, weight="w")]
    out = torch.arange(64) % 3 == 0
    labels, raws = events(), drawn(["click", "buy", "pay"])
    with torch.no_grad():
        for raw in raws.values():
            raw[out] = value
    weight = torch.rand(64, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.5
    weights = {"buy": weight.clone(), "pay": weight.clone()}
    labels["click"] = labels["click"].masked_fill(out, math.nan)
    for name in ("buy", "pay"):
        if how == "null label":
            labels[name] = labels[name].masked_fill(out, math.nan)
        else:
            weights[name][out] = 0
    losses, _ = task_losses(tasks, raws, labels, weights)
    found = gradients(losses.sum(), raws)
    kept = {name: raw.detach()[~out].requires_grad_() for name, raw in raws.items()}
    cut_labels = {name: label[~out] for name, label in labels.items()}
    cut_weights = {name: w[~out] for name, w in weights.items()}
    expected, _ = task_losses(tasks, kept, cut_labels, cut_weights)
    torch.testing.assert_close(losses, expected)
    for name, grad in gradients(expected.sum(), kept).items():
        assert torch.equal(found[name][out], torch.zeros_like(found[name][out])), name
        torch.testing.assert_close(found[name][~out], grad)


def test_a_task_that_nobody_observed_is_inactive():
    raws, labels = drawn(["click", "buy"]), events()
    labels["buy"] = torch.full((64,), math.nan, dtype=torch.float64)
    losses, active = task_losses([CLICK, BUY], raws, labels)
    assert active.tolist() == [True, False]
    assert losses[1] == 0
    assert not gradients(losses[1], raws)["buy"].any()


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_precision_is_raised_before_it_is_multiplied(dtype):
    tasks = [CLICK, replace(BUY, gradient="flow")]
    raws = {name: raw.detach().to(dtype).requires_grad_() for name, raw in drawn(["click", "buy"], spread=8).items()}
    exact = {name: raw.detach().double() for name, raw in raws.items()}
    made = joint(tasks, raws)
    assert made["buy"].dtype == torch.float32
    torch.testing.assert_close(made["buy"].double(), joint(tasks, exact)["buy"], rtol=1e-5, atol=1e-5)
    losses, _ = task_losses(tasks, raws, {name: label.float() for name, label in events().items()})
    assert losses.dtype == torch.float32
    assert all(g.dtype == dtype and g.isfinite().all() for g in gradients(losses.sum(), raws).values())


NAN = math.nan


def test_what_did_not_happen_outside_did_not_happen_inside():
    labels = {
        "click": torch.tensor([0.0, 0.0, 1.0, 1.0, NAN, NAN]),
        "buy": torch.tensor([NAN, 0.0, 1.0, NAN, 1.0, NAN]),
        "pay": torch.tensor([NAN, NAN, 0.0, NAN, 1.0, 0.0]),
    }
    found = sample_space(CHAIN, labels)
    torch.testing.assert_close(found["click"], labels["click"], equal_nan=True)
    expected = torch.tensor([0.0, 0.0, 1.0, NAN, 1.0, NAN])  # a null click says nothing about a known purchase
    torch.testing.assert_close(found["buy"], expected, equal_nan=True)
    torch.testing.assert_close(found["pay"], torch.tensor([0.0, 0.0, 0.0, NAN, 1.0, 0.0]), equal_nan=True)
    again = sample_space(CHAIN, found)
    assert all(again[name].equal(label) or again[name].isnan().equal(label.isnan()) for name, label in found.items())


def test_a_space_inside_a_where():
    """`buy` over all clicks' space, of which only rows with a view count."""
    view, click = Binary(name="view"), Binary(name="click", where="view")
    labels = {
        "view": torch.tensor([0.0, 1.0, 1.0, NAN]),
        "click": torch.tensor([0.0, 0.0, 1.0, 1.0]),
        "buy": torch.tensor([0.0, NAN, 1.0, 1.0]),
    }
    found = sample_space([view, click, BUY], labels)
    torch.testing.assert_close(found["click"], torch.tensor([NAN, 0.0, 1.0, NAN]), equal_nan=True)
    torch.testing.assert_close(found["buy"], torch.tensor([NAN, 0.0, 1.0, NAN]), equal_nan=True)


def test_a_where_inside_a_space():
    """`dwell` counts where a purchase happened, and none did where no click did."""
    tasks = [CLICK, BUY, Regression(name="dwell", where="buy")]
    labels = {
        "click": torch.tensor([0.0, 1.0, 1.0]),
        "buy": torch.tensor([NAN, 0.0, 1.0]),
        "dwell": torch.tensor([5.0, 6.0, 7.0]),
    }
    found = sample_space(tasks, labels)
    torch.testing.assert_close(found["dwell"], torch.tensor([NAN, NAN, 7.0]), equal_nan=True)


WRONG = [
    ([CLICK, replace(BUY, space="clik")], "space 'clik', which is no task; .*did you mean 'click'"),
    ([Regression(name="click"), BUY], "space 'click', which is not a binary task"),
    ([CLICK, Regression(name="dwell", space="click")], r"it is regression; only probabilities multiply.*\(where\)"),
    ([replace(CLICK, space="buy"), BUY], "space form a cycle: click -> buy -> click"),
    ([replace(CLICK, space="pay"), BUY, PAY], "space form a cycle: click -> pay -> buy -> click"),
    ([replace(BUY, space="buy")], "space form a cycle: buy -> buy"),
    ([replace(CLICK, where="buy"), BUY], "where and space form a cycle: click -> buy -> click"),
]


@pytest.mark.parametrize(("tasks", "words"), WRONG, ids=[words for _, words in WRONG])
def test_spaces_that_cannot_be(tasks, words):
    with pytest.raises(UserError, match=words):
        check_tasks(tasks)


def test_all_problems_come_at_once():
    with pytest.raises(UserError) as found:
        check_tasks([replace(BUY, space="clik"), Regression(name="dwell", space="clik", reads=("buys",))])
    assert len(found.value.problems) == 4


def test_a_task_has_a_where_or_a_space():
    with pytest.raises(UserError, match=r"task buy: where 'click' and space 'click'; .*\(where\).*\(space\)"):
        Binary(name="buy", where="click", space="click")
