"""Callbacks: what they are told, what resumes, and what is left behind where one raises."""

import json

import pytest
import torch
import yaml

from trunkline import Model, UserError, fit
from trunkline.callbacks import CALLBACKS, Callback
from trunkline.config import Config
from trunkline.runs.tensors import read_tensors, write_tensors
from trunkline.training.callbacks.guarded import CallbackError, Guarded, by_name

HOOKS = ("on_start", "on_step", "on_line", "on_epoch", "on_checkpoint", "on_end")


class Diary(Callback):
    """Writes down every hook, and draws at random in each."""

    def __init__(self):
        self.calls = []

    def _note(self, hook, loop, *what):
        torch.rand(3)
        self.calls.append((hook, loop.state.progress.step, *(line["epoch"] for line in what)))

    def on_start(self, loop):
        self._note("on_start", loop)

    def on_step(self, loop):
        self._note("on_step", loop)

    def on_line(self, loop, line):
        self._note("on_line", loop, line)
        line.clear()  # it is a copy

    def on_epoch(self, loop, line):
        assert {"valid", "score", "best"} <= line.keys()
        self._note("on_epoch", loop, line)
        line.clear()

    def on_checkpoint(self, loop):
        self._note("on_checkpoint", loop)

    def on_end(self, loop):
        self._note("on_end", loop)


class Counter(Callback):
    """Counts steps, over all starts of a run."""

    def __init__(self):
        self.steps = 0

    def on_step(self, loop):
        self.steps += 1

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = state["steps"]


class Breaks(Callback):
    """Raises in one hook, at its nth call."""

    def __init__(self, hook, nth=1, error=None):
        self.left, self.error = nth, error or RuntimeError("no luck")

        def raising(*_):
            self.left -= 1
            if self.left == 0:
                raise self.error

        setattr(self, hook, raising)


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(200), "valid": make_rows(60, seed=1)}


def weights(path):
    return read_tensors(path / "checkpoint" / "state.safetensors")[0]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_every_hook_is_told_in_order_and_nothing_is_changed(settings, parts, tmp_path):
    plain = fit(settings, **parts, out=tmp_path / "plain")
    diary = Diary()
    fit(settings, **parts, out=tmp_path / "told", callbacks=[diary])
    assert same(weights(tmp_path / "plain"), weights(tmp_path / "told"))
    told, lines = [call[0] for call in diary.calls], plain.history
    assert told[0] == "on_start"
    assert told[-1] == "on_end"
    assert told.count("on_step") == lines[-1]["step"]
    assert told.count("on_line") == len(lines)
    assert told.count("on_epoch") == told.count("on_checkpoint") == 2
    epoch = told.index("on_epoch")
    assert told[epoch : epoch + 3] == ["on_epoch", "on_line", "on_checkpoint"]
    without_clocks = [{k: v for k, v in line.items() if k != "rows_per_second"} for line in lines]
    other = Model.load(tmp_path / "told", device="cpu").history
    assert without_clocks == [{k: v for k, v in line.items() if k != "rows_per_second"} for line in other]


@pytest.mark.parametrize(
    ("hook", "nth"),
    # of on_step also where a line of the history is told: every third step, and the last of an epoch
    [*((hook, 1) for hook in HOOKS), *((hook, 2) for hook in HOOKS[1:-1]), *(("on_step", n) for n in (3, 4, 8))],
)
def test_one_that_raises_ends_the_run_with_a_sound_checkpoint(settings, parts, tmp_path, hook, nth):
    straight = fit(settings, **parts, out=tmp_path / "straight")
    counter = Counter()
    with pytest.raises(UserError) as error:
        fit(settings, **parts, out=tmp_path / "run", callbacks=[counter, Breaks(hook, nth)])
    (told, where) = error.value.problems
    assert "test_callbacks.Breaks" in told
    assert f"raised in {hook}: RuntimeError: no luck; mend it or leave it out" in told
    assert "--resume" in told
    assert "last good checkpoint" in where
    assert isinstance(error.value.__cause__, RuntimeError)
    assert not (tmp_path / "run" / "metrics.json").exists()
    again = Counter()
    resumed = fit(settings, **parts, out=tmp_path / "run", resume=True, callbacks=[again])
    assert same(weights(tmp_path / "straight"), weights(tmp_path / "run"))
    assert again.steps == straight.history[-1]["step"]
    assert resumed.metrics["valid"] == straight.metrics["valid"]
    without_clocks = [
        [{k: v for k, v in line.items() if k != "rows_per_second"} for line in m.history] for m in (resumed, straight)
    ]
    assert without_clocks[0] == without_clocks[1]


def test_one_whose_state_cannot_be_kept_ends_the_run_too(settings, parts, tmp_path):
    with pytest.raises(UserError, match=r"Breaks .* raised in state_dict: ValueError: none"):
        fit(settings, **parts, out=tmp_path / "run", callbacks=[Breaks("state_dict", 2, ValueError("none"))])
    fit(settings, **parts, out=tmp_path / "run", resume=True)


def test_an_interrupt_inside_a_callback_is_an_interrupt(settings, parts, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit(settings, **parts, out=tmp_path / "run", callbacks=[Breaks("on_step", 2, KeyboardInterrupt())])


def test_state_comes_back_and_an_old_checkpoint_has_none(settings, parts, tmp_path):
    with pytest.raises(UserError):
        fit(settings, **parts, out=tmp_path / "run", callbacks=[Counter(), Breaks("on_epoch")])
    path = tmp_path / "run" / "checkpoint" / "state.safetensors"
    tensors, facts = read_tensors(path)
    ((name, state),) = facts["callbacks"].items()
    assert name.endswith("Counter")
    assert state["steps"] == facts["progress"]["step"]
    write_tensors(path, tensors, {"progress": facts["progress"], "scaler": facts["scaler"]})
    fresh = Counter()
    fit(settings, **parts, out=tmp_path / "run", resume=True, callbacks=[fresh])
    assert 0 < fresh.steps < facts["progress"]["step"] * 2 + 1


@pytest.mark.parametrize("state", [3, "text", [1, 2], {"seconds": -1}, {"seconds": "1"}, {"seconds": None}, {}])
def test_a_strangers_state_is_refused_in_words(settings, parts, tmp_path, state):
    limited = {**settings, "training": {**settings["training"], "callbacks": [{"kind": "time_limit", "minutes": 60}]}}
    fit(limited, **parts, out=tmp_path / "run")
    path = tmp_path / "run" / "checkpoint" / "state.safetensors"
    tensors, facts = read_tensors(path)
    (name,) = facts["callbacks"]
    write_tensors(path, tensors, facts | {"callbacks": {name: state}})
    with pytest.raises(UserError, match=r"does not fit this training|raised in load_state_dict"):
        fit(limited, **parts, out=tmp_path / "run", resume=True, overrides={"training.epochs": 3})


def test_two_of_a_class_have_a_state_each():
    class Other(Counter):
        pass

    named = by_name([Guarded(Counter()), Guarded(Other()), Guarded(Counter())])
    assert [name.rpartition(".")[2] for name in named] == ["Counter", "Other", "Counter 2"]


def test_a_time_limit_ends_after_an_epoch_and_is_remembered(settings, parts, tmp_path):
    limited = {
        **settings,
        "training": {**settings["training"], "epochs": 5, "callbacks": [{"kind": "time_limit", "minutes": 1e-6}]},
    }
    model = fit(limited, **parts, out=tmp_path / "run")
    assert model.metrics["epochs"] == 1
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["training"]["callbacks"] == [
        {"kind": "time_limit", "minutes": 1e-6}
    ]
    facts = read_tensors(tmp_path / "run" / "checkpoint" / "state.safetensors")[1]
    assert next(iter(facts["callbacks"].values()))["seconds"] > 0
    more = {"training.callbacks": [{"kind": "time_limit", "minutes": 60}]}
    assert fit(limited, **parts, out=tmp_path / "run", resume=True, overrides=more).metrics["epochs"] == 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("time_limt", r"callback 'time_limt' is unknown; did you mean 'time_limit'\?"),
        ("time_limit", "minutes is missing; time_limit needs it"),
        ({"kind": "time_limit", "minutes": 0}, "time_limit's minutes must be above 0"),
        ({"kind": "time_limit", "minutes": 1, "hours": 2}, "unknown key 'hours' in time_limit"),
    ],
)
def test_a_wrong_callback_in_the_config_is_refused_before_any_row_is_read(settings, given, said):
    with pytest.raises(UserError, match=said):
        fit({**settings, "data": {"train": "no_such_file.csv"}, "training": {"callbacks": [given]}})


def test_a_registered_class_is_found_by_its_name(settings, parts):
    CALLBACKS.register("count_for_this_test", Counter)
    model = fit(settings, **parts, overrides={"training.callbacks": ["count_for_this_test"]})
    assert json.loads(json.dumps(model.config.model_dump(mode="json")))["training"]["callbacks"] == [
        {"kind": "count_for_this_test"}
    ]


def test_a_message_names_the_package(settings, parts):
    class Inside(Callback):
        def on_start(self, loop):
            raise ValueError("bad day")

    Inside.__module__ = "numpy.somewhere"
    with pytest.raises(UserError, match=r"callback numpy\.somewhere\..*Inside \(package numpy\) raised in on_start"):
        fit(settings, **parts, callbacks=[Inside()])
    assert issubclass(CallbackError, UserError)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([Counter], r"Counter'> is no callback; write Counter\(…\)"),
        ([print], "is no callback; derive it from trunkline.callbacks.Callback"),
        ("time_limit", "'time_limit' is no callback"),
    ],
)
def test_what_is_no_callback_is_refused(given, words, settings, parts, tmp_path):
    with pytest.raises(UserError, match=words):
        fit(settings, **parts, out=tmp_path / "run", callbacks=given)


def test_one_callback_alone_will_do(settings):
    made = Config.make({**settings, "training": {"callbacks": {"kind": "time_limit", "minutes": 5}}})
    assert [one.kind for one in made.training.callbacks] == ["time_limit"]
