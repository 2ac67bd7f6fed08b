"""What gates do, in figures, and what of it reaches the history and the terminal."""

import math

import pytest
import torch

from trunkline import UserError, fit
from trunkline.inference.gating import UNUSED, gate_facts, unused_experts
from trunkline.nn.inputs import Ragged
from trunkline.sharing.gating import SoftmaxGate
from trunkline.training.display.text import epoch_text


def shares(*rows):
    table = torch.tensor(rows)
    return {f"shared.{i}": column for i, column in enumerate(table.unbind(1))}


@pytest.mark.parametrize("experts", [2, 3, 17])
@pytest.mark.parametrize("n", [1, 5])
def test_entropy_is_1_for_equal_shares_and_0_for_one_expert_alone(experts, n):
    facts = gate_facts(
        {
            "equal": shares(*[[1 / experts] * experts] * n),
            "alone": shares(*[[1.0] + [0.0] * (experts - 1)] * n),
        }
    )
    assert facts["equal"]["entropy"] == 1
    assert facts["alone"]["entropy"] == 0
    assert facts["alone"]["use"] == {f"shared.{i}": float(i == 0) for i in range(experts)}


def test_entropy_is_the_rows_mean_not_that_of_the_mean():
    """Two rows that each take another expert are sure of themselves, though both experts are used."""
    facts = gate_facts({"click": shares([1.0, 0.0], [0.0, 1.0])})
    assert facts["click"] == {"entropy": 0.0, "use": {"shared.0": 0.5, "shared.1": 0.5}}
    facts = gate_facts({"click": shares([0.5, 0.5, 0.0], [0.25, 0.5, 0.25])})
    assert facts["click"]["entropy"] == pytest.approx((1 + 1.5) / 2 * math.log(2) / math.log(3), abs=1e-4)


def test_a_gate_of_one_expert_has_no_choice():
    assert gate_facts({"click": shares([1.0], [1.0])}) == {"click": {"entropy": 0.0, "use": {"shared.0": 1.0}}}
    assert gate_facts({}) == {}


def test_half_precision_is_raised():
    facts = gate_facts({"click": {name: share.bfloat16() for name, share in shares([0.5, 0.5]).items()}})
    assert facts["click"]["entropy"] == 1


def test_an_expert_is_unused_where_no_gate_gives_it_its_share():
    facts = {
        "click": {"entropy": 0.5, "use": {"shared.0": 0.995, "shared.1": UNUSED / 2, "shared.2": 0.0}},
        "buy": {"entropy": 0.5, "use": {"shared.0": 0.0, "shared.1": UNUSED, "shared.2": UNUSED * 0.99}},
    }
    assert unused_experts(facts) == ["shared.2"]
    assert unused_experts({}) == []


@pytest.fixture
def rows(make_rows):
    return {"train": make_rows(120), "valid": make_rows(60, seed=1)}


@pytest.mark.parametrize(
    ("sharing", "gates"),
    [
        ({"kind": "mmoe", "experts": 3}, ["gate.click", "gate.dwell", "gate.buy", "gate.topic"]),
        ({"kind": "cgc", "shared": 2, "specific": 1}, ["gate.click", "gate.dwell", "gate.buy", "gate.topic"]),
    ],
)
def test_history_says_what_the_gates_do(settings, rows, sharing, gates):
    settings["network"]["sharing"] = {**sharing, "hidden": [6]}
    model = fit(settings, **rows)
    for line in model.history:
        assert list(line["gates"]) == gates
        for facts in line["gates"].values():
            assert 0 <= facts["entropy"] <= 1
            assert sum(facts["use"].values()) == pytest.approx(1, abs=1e-3)
    epochs = [line for line in model.history if "valid" in line]
    assert all(line["unused_experts"] == unused_experts(line["gates"]) for line in epochs)


def test_without_gates_there_are_no_figures(settings, rows):
    assert not any({"gates", "unused_experts"} & set(line) for line in fit(settings, **rows).history)


def away_from(expert):
    def push(module, inputs, output):
        kept = output * (torch.arange(output.shape[1]) != expert)
        return kept / kept.sum(1, keepdim=True)

    return push


def test_an_expert_that_no_gate_uses_is_named_at_the_end_of_an_epoch(settings, rows):
    settings["network"]["sharing"] = {"kind": "cgc", "shared": 3, "specific": 0, "hidden": [6]}

    def start(loop):
        gates = [part for part in loop.network.modules() if isinstance(part, SoftmaxGate)]
        assert len(gates) == 4
        for gate in gates:
            gate.register_forward_hook(away_from(1))

    model = fit(settings, **rows, on_start=start)
    epochs = [line for line in model.history if "valid" in line]
    assert [line["unused_experts"] for line in epochs] == [["shared.1"]] * 2
    assert all(gate["use"]["shared.1"] == 0 for line in epochs for gate in line["gates"].values())
    assert epoch_text(epochs[0]).splitlines()[1] == "  used by no gate: shared.1"


def test_a_line_without_unused_experts_is_one_line():
    line = {"epoch": 0, "valid": None, "score": None, "best": True}
    assert epoch_text(line) == epoch_text({**line, "unused_experts": []}) == "epoch 1: *"
    assert epoch_text({**line, "unused_experts": ["a", "b"]}) == "epoch 1: *\n  used by no gate: a, b"


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["mmoe", "ple", "dselect_k", "shared_bottom"])
def test_looking_at_gates_leaves_no_trace(settings, rows, kind, training):
    """Neither in the mode of any part, nor in statistics, nor in gradients, nor in what is drawn next."""
    settings["network"] |= {"sharing": {"kind": kind, "hidden": [[6], [4]] if kind == "ple" else [6]}, "norm": "batch"}
    loops = []
    fit(settings, **rows, on_start=loops.append, overrides={"training.epochs": 1})
    network, batch = loops[0].network.train(training), next(iter(loops[0].train.ordered()))
    network.sharing.train(not training)
    network.zero_grad(set_to_none=True)
    modes = [part.training for part in network.modules()]
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    drawn = torch.get_rng_state()
    gates = network.gates(batch.ids, batch.numbers, batch.lists)
    assert (kind == "shared_bottom") == (not gates)
    assert not any(share.requires_grad for one in gates.values() for share in one.values())
    assert [part.training for part in network.modules()] == modes
    assert torch.get_rng_state().equal(drawn)
    assert all(tensor.equal(state[name]) for name, tensor in network.state_dict().items())
    again = network.gates(batch.ids, batch.numbers, batch.lists)
    assert all(again[gate][name].equal(share) for gate, one in gates.items() for name, share in one.items())


def test_the_mode_is_kept_after_an_error_too(settings, rows):
    loops = []
    fit(settings, **rows, on_start=loops.append, overrides={"training.epochs": 1})
    network = loops[0].network.train()
    with pytest.raises(UserError, match="lists of ids were given"):
        network.gates(torch.zeros(2, 2), torch.zeros(2, 1), [Ragged(torch.zeros(0), torch.zeros(3))])
    assert all(part.training for part in network.modules())


def test_lines_about_gates_change_nothing_in_the_training(settings, rows):
    settings["network"] |= {"sharing": {"kind": "mmoe", "experts": 3, "hidden": [6]}, "norm": "batch"}
    often, seldom = (fit(settings, **rows, overrides={"training.log_every": n}) for n in (1, 1000))
    left, right = often.network.state_dict(), seldom.network.state_dict()
    assert all(left[name].equal(right[name]) for name in left)
