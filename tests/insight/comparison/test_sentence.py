"""The sentence that a comparison comes to: what it names, and what it does not claim."""

from dataclasses import replace

import pytest

from trunkline.insight.comparison.markdown import conclusions, markdown
from trunkline.insight.comparison.result import Comparison, NetworkResult, TaskResult
from trunkline.insight.statistics.intervals import Interval

ALONE = NetworkResult(
    name="alone",
    label="alone",
    kind="alone",
    overrides={},
    tasks={},
    delta=None,
    verdict="",
    cpu_seconds=None,
    seconds=None,
    parameters=None,
    missing={},
)


def result(change):
    return TaskResult(mean=Interval(0.7), seeds={"0": 0.7}, valid=0.7, change=change, verdict="")


def shared(label="config", **changes):
    return replace(
        ALONE, name=label, label=label, kind="network", tasks={task: result(change) for task, change in changes.items()}
    )


def compared(*networks, tasks, seeds=3, chosen=None, left_out=None):
    return Comparison(
        networks=[ALONE, *networks],
        metrics=dict.fromkeys(tasks, "auc"),
        rows={"test": 900},
        task_rows=dict.fromkeys(tasks, 900),
        seeds=list(range(seeds)),
        verdicts=4,
        confidence=0.95,
        resamples=50,
        chosen=chosen,
        left_out=left_out or {},
    )


UP, DOWN, LEVEL = Interval(0.012, 0.008, 0.016), Interval(-0.02, -0.03, -0.01), Interval(0.001, -0.01, 0.012)


def test_a_gain_has_its_figure_and_what_is_level_is_said():
    said = compared(shared(click=UP, dwell=LEVEL), tasks=["click", "dwell"]).sentence
    assert said == (
        "The shared network beats one network a task on click (+0.0120 auc, 95 % +0.0080 to +0.0160); "
        "no difference seen on dwell."
    )


def test_a_loss_is_not_hidden_behind_a_gain():
    said = compared(shared(click=UP, dwell=DOWN), tasks=["click", "dwell"]).sentence
    assert "beats one network a task on click" in said
    assert "and loses on dwell (-0.0200 auc, 95 % -0.0300 to -0.0100)" in said
    assert "loses to one network a task on dwell" in compared(shared(dwell=DOWN), tasks=["dwell"]).sentence


@pytest.mark.parametrize("seeds", [2, 5])
def test_where_nothing_is_told_apart_nothing_is_claimed(seeds):
    said = compared(shared(click=LEVEL, dwell=LEVEL), tasks=["click", "dwell"], seeds=seeds).sentence
    assert said == (
        f"The shared network and one network a task cannot be told apart on click and dwell (95 %, {seeds} seeds)."
    )


def test_one_seed_and_missing_runs_say_so():
    one = compared(shared(click=Interval(0.2)), tasks=["click"], seeds=1).sentence
    assert one == "1 seed cannot tell whether the shared network or one network a task is better; take more."
    assert "Nothing can be said" in compared(shared(click=None), tasks=["click"]).sentence
    assert "Nothing can be said" in compared(tasks=["click"]).sentence
    assert "; buy cannot be compared." in compared(shared(click=UP), tasks=["click", "buy"]).sentence


def test_it_is_about_the_network_that_validation_rows_choose():
    both = compared(shared(click=UP), shared("famo", click=DOWN), tasks=["click"], chosen="famo")
    assert both.sentence.startswith("The shared network with famo, the choice of the validation rows, loses to one")
    assert compared(shared(click=UP), shared("famo", click=DOWN), tasks=["click"]).subject.label == "config"


def test_of_many_tasks_the_largest_changes_are_named():
    changes = {f"t{i}": Interval(0.01 * i, 0.001, 0.02 * i) for i in range(1, 8)}
    said = compared(shared(**changes), tasks=list(changes)).sentence
    assert "on 7 of 7 tasks, most on t5 (+0.0500" in said
    assert "t4" not in said


def test_the_same_sentence_is_in_json_and_text_and_what_delta_leaves_out_too(tmp_path):
    found = compared(shared(click=UP), tasks=["click", "buy"], left_out={"buy": "its score alone is 0.0010"})
    assert found.to_json()["sentence"] == found.sentence
    assert found.sentence in markdown(found).split("##")[0]
    assert "Δm leaves out buy: its score alone is 0.0010; see its own change" in conclusions(found)
