import json
import signal

import pytest
import torch

from trunkline import Embedding, Model, RowAdam, UserError, fit
from trunkline.random_state import isolated_random
from trunkline.training.checkpoint import Checkpoint, Progress

TIMINGS = {"train_seconds", "rows_per_second"}
HARD = {
    "training.epochs": 4,
    "network.dropout": 0.3,
    "optimizer.name": "adamw",
    "optimizer.weight_decay": 0.01,
    "optimizer.schedule": "warmup_cosine",
    "balance.objective": "uncertainty",
    "balance.gradients": "pcgrad",
}


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(seed=0), "valid": make_rows(80, seed=1), "test": make_rows(60, seed=2)}


def stop_when(condition, number=signal.SIGINT):
    """A watcher that presses Ctrl-C once at the first line that meets the condition."""
    pressed = []

    def watch(line):
        if not pressed and condition(line):
            pressed.append(line)
            signal.raise_signal(number)

    return watch


def timeless(value):
    if isinstance(value, list):
        return [timeless(one) for one in value]
    return {key: inner for key, inner in value.items() if key not in TIMINGS}


def assert_same(one, other):
    left, right = one.network.state_dict(), other.network.state_dict()
    assert all(left[name].equal(right[name]) for name in left)
    assert timeless(one.history) == timeless(other.history)
    assert timeless(one.metrics) == timeless(other.metrics)


INTERRUPTS = {
    "at the end of an epoch": lambda line: "valid" in line and line["epoch"] == 1,
    "within an epoch": lambda line: "losses" in line and line["step"] == 9,
    "at the first step": lambda line: line["step"] == 1,
    "at the last step of an epoch": lambda line: "losses" in line and line["step"] == 10,
}


@pytest.mark.parametrize(
    ("when", "log_every"),
    [
        ("at the end of an epoch", 1),
        ("at the end of an epoch", 3),
        ("within an epoch", 3),
        ("within an epoch", 1),
        ("at the first step", 1),
        ("at the last step of an epoch", 5),
    ],
)
@pytest.mark.parametrize(
    "changes",
    [
        HARD,
        {**HARD, "optimizer.name": "sgd", "balance.gradients": "upgrad", "balance.objective": "sum"},
        {**HARD, "optimizer.name": "adam", "balance.gradients": "none", "network.norm": "batch"},
        {**HARD, "training.amp": "bf16", "balance.gradients": "equal"},
        {**HARD, "network.embedding.sparse_above": 0, "network.sharing": "mmoe"},
        {
            **HARD,
            "network.embedding.sparse_above": 4,
            "optimizer.sparse_optimizer": "adagrad",
            "balance.at": "parameters",
        },
    ],
    ids=["adamw-pcgrad", "sgd-upgrad", "adam-batchnorm", "bf16", "rows-mmoe", "rows-adagrad-parameters"],
)
def test_an_interrupted_run_ends_as_if_it_never_had_been(settings, parts, tmp_path, when, log_every, changes):
    overrides = {**changes, "training.log_every": log_every}
    if changes.get("balance.gradients") == "upgrad":
        pytest.importorskip("torchjd")
    straight = fit(settings, **parts, out=tmp_path / "straight", overrides=overrides)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=tmp_path / "cut", overrides=overrides, on_line=stop_when(INTERRUPTS[when]))
    assert not (tmp_path / "cut" / "metrics.json").exists()
    resumed = fit(settings, **parts, out=tmp_path / "cut", overrides=overrides, resume=True)
    assert_same(resumed, straight)


def test_interrupts_off_the_lines_leave_no_trace(settings, parts, tmp_path):
    """Ctrl-C that arrives at steps where nothing is logged, three times over."""
    overrides = {**HARD, "training.log_every": 4}
    straight = fit(settings, **parts, overrides=overrides)

    def fit_until(steps):
        def start(loop):
            step, seen = loop.step, []

            def counted(batch):
                seen.append(batch)
                if len(seen) == steps:
                    signal.raise_signal(signal.SIGINT)
                return step(batch)

            object.__setattr__(loop, "step", counted)

        return start

    for i, steps in enumerate([2, 5, 6]):
        with pytest.raises(KeyboardInterrupt):
            fit(settings, **parts, out=tmp_path / "cut", overrides=overrides, resume=i > 0, on_start=fit_until(steps))
    assert_same(fit(settings, **parts, out=tmp_path / "cut", overrides=overrides, resume=True), straight)


def test_more_epochs_may_be_asked_for(settings, parts, tmp_path):
    overrides = {**HARD, "optimizer.schedule": "constant"}
    straight = fit(settings, **parts, out=tmp_path / "straight", overrides=overrides)
    fit(settings, **parts, out=tmp_path / "run", overrides={**overrides, "training.epochs": 2})
    assert_same(fit(settings, **parts, out=tmp_path / "run", overrides=overrides, resume=True), straight)


def test_more_patience_may_be_asked_for(settings, parts, tmp_path):
    frozen = {"optimizer.lr": 0.0, "balance.objective": "sum", "training.epochs": 6}
    stopped = fit(settings, **parts, out=tmp_path / "run", overrides={**frozen, "training.patience": 1})
    assert stopped.metrics["epochs"] == 2
    resumed = fit(settings, **parts, out=tmp_path / "run", overrides={**frozen, "training.patience": 3}, resume=True)
    assert resumed.metrics["epochs"] == 4


def test_a_finished_run_stays_as_it_is(settings, parts, tmp_path):
    first = fit(settings, **parts, out=tmp_path / "run")
    lines = []
    again = fit(settings, **parts, out=tmp_path / "run", resume=True, on_line=lines.append)
    assert lines == []
    assert_same(again, first)


def test_lines_after_the_checkpoint_are_dropped(settings, parts, tmp_path):
    """A kill between two checkpoints: the history has run ahead."""
    straight = fit(settings, **parts, out=tmp_path / "straight", overrides=HARD)
    stop = stop_when(INTERRUPTS["at the end of an epoch"])
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=tmp_path / "cut", overrides=HARD, on_line=stop)
    history = tmp_path / "cut" / "history.jsonl"
    with history.open("a") as file:
        file.write(json.dumps({"step": 12, "epoch": 2}) + '\n{"step": 13, "ep')
    assert_same(fit(settings, **parts, out=tmp_path / "cut", overrides=HARD, resume=True), straight)


def test_the_first_epoch_can_be_resumed_but_not_loaded(settings, parts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=tmp_path / "run", on_line=stop_when(lambda line: True))
    with pytest.raises(UserError, match="no trained model yet"):
        Model.load(tmp_path / "run")
    stop = stop_when(lambda line: "valid" in line)
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=tmp_path / "run", resume=True, on_line=stop)
    assert len(Model.load(tmp_path / "run")(parts["test"])) == len(parts["test"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_as_they_were_after_a_fit(settings, parts, number):
    before = signal.getsignal(number)
    fit(settings, **parts, overrides={"training.epochs": 1})
    assert signal.getsignal(number) == before
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, on_line=stop_when(lambda line: True, number))
    assert signal.getsignal(number) == before


def test_a_handler_of_the_programs_own_is_left_to_it(settings, parts):
    got = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        fit(settings, **parts, on_line=stop_when(lambda line: True, signal.SIGTERM))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert got == [signal.SIGTERM]


@pytest.mark.parametrize(
    ("changes", "section"),
    [
        ({"optimizer.lr": 0.5}, "optimizer"),
        ({"network.dropout": 0.0}, "network"),
        ({"balance.objective": "sum"}, "balance"),
        ({"training.seed": 9}, "training"),
        ({"training.batch_size": 9}, "training"),
        ({"tasks.click.label": "buy"}, "tasks"),
        ({"features.user.dim": 9}, "features"),
    ],
)
def test_a_run_goes_on_only_with_its_own_config(settings, parts, tmp_path, changes, section):
    fit(settings, **parts, out=tmp_path / "run", overrides={"training.epochs": 1})
    with pytest.raises(UserError, match=rf"begun with another config: {section}\S* is .* and was "):
        fit(settings, **parts, out=tmp_path / "run", resume=True, overrides=changes)


def test_there_is_nothing_to_resume(settings, parts, tmp_path):
    with pytest.raises(UserError, match="holds no checkpoint to resume"):
        fit(settings, **parts, out=tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_says_so(settings, parts, tmp_path):
    run = tmp_path / "run"
    fit(settings, **parts, out=run, overrides={"training.epochs": 1})
    state = run / "checkpoint" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-7])
    with pytest.raises(UserError, match=r"state\.safetensors cannot be read"):
        fit(settings, **parts, out=run, resume=True)


def state_of(seed, name):
    torch.manual_seed(seed)
    network, objective = Embedding([9], [3], 1, sparse_above=0), torch.nn.Linear(1, 1)
    kinds = {"adamw": torch.optim.AdamW, "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)}
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    optimizers = [kinds[name](objective.parameters()), RowAdam(network.parameters(), lr=0.1)]
    return Checkpoint(network, objective, optimizers, scaler, Progress())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_checkpoint_round_trips_with_every_part(tmp_path, name):
    def step(state, times):
        for _ in range(times):
            x = state.network(torch.randint(0, 9, (4, 1)), torch.randn(4, 1))
            loss = x.square().sum() + state.objective(torch.randn(1, 1)).square().sum()
            for optimizer in state.optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in state.optimizers:
                optimizer.step()
        return [p.detach().clone() for module in (state.network, state.objective) for p in module.parameters()]

    with isolated_random(0):
        one = state_of(0, name)
        step(one, 3)
        one.progress.step, one.progress.best_score, one.progress.sums = 3, 0.125, [[0.1, 2.0], [1.0, 3.0]]
        one.save(tmp_path / "state.safetensors")
        expected = step(one, 3)
    with isolated_random(99):
        other = state_of(1, name)
        other.load(tmp_path / "state.safetensors")
        assert other.progress == one.progress
        assert all(a.equal(b) for a, b in zip(step(other, 3), expected, strict=True))


def test_isolated_random_is_a_function_of_its_seed_and_leaves_no_trace():
    before = torch.get_rng_state()
    with isolated_random(7):
        one = torch.rand(3)
    with isolated_random(7):
        assert torch.rand(3).equal(one)
    assert torch.get_rng_state().equal(before)
    with isolated_random(None):
        inside = torch.rand(3)
    assert torch.rand(3).equal(inside)
