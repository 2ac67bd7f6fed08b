"""A comparison as a page: what may be said, and every figure as comparison.json has it."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from trunkline.errors import UserError
from trunkline.insight.comparison.markdown import conclusions, task_rows, whole_rows
from trunkline.insight.statistics.intervals import Interval
from trunkline.report import read_comparison, read_run
from trunkline.report.comparison_figures import task_comparison_figures, whole_comparison_figures
from trunkline.report.names import anchors, told_apart
from trunkline.report.page import figures_json, page

CHANGES = {
    "config": (0.02, 0.01, 0.03),
    "lr=0.003, sum": (-0.02, -0.03, -0.01),
    "lr=0.003, famo": (0.0, -0.1, 0.1),
    "trees": (0.01, -0.01, 0.03),
}


@pytest.fixture
def told(first_compared):
    """With a gain, a loss, and neither, in click."""
    compared = read_comparison(first_compared)
    networks = []
    for one in compared.comparison.networks:
        if one.label in CHANGES:
            click = replace(one.tasks["click"], change=Interval(*CHANGES[one.label]))
            one = replace(one, tasks=one.tasks | {"click": click})
        networks.append(one)
    return replace(compared, comparison=replace(compared.comparison, networks=networks))


def text_of(*compared):
    return re.sub(r"<script>.*?</script>", "", page(compared), flags=re.S)


def test_what_may_be_said_comes_first_and_the_tables_follow(told):
    text = text_of(told)
    found = told.comparison
    said = [line for line in conclusions(found) if not line.startswith("missing: ")]
    assert len(said) > 5
    places = [text.index(f"<li>{line}</li>") for line in said]
    assert max(places) < text.index("<table")
    for row in [row for task in found.metrics for row in task_rows(found, task)] + whole_rows(found):
        cells = "</td><td>".join(row)
        assert f"<td>{cells}</td>" in re.sub(r' class="(good|bad)"', "", text)
    assert '<td class="good">+0.0200</td>' in text
    assert '<td class="bad">-0.0200</td>' in text
    assert "validation rows alone" in text
    for figure in ("2 seeds", "2,100 train", "50 resamples", "95 %"):
        assert figure in text


def test_the_sentence_comes_before_every_table_on_any_page(told, first_run):
    mine = f'<p class="verdict">{told.comparison.sentence}</p>'
    run = read_run(first_run)
    for shown in ([told], [told, run], [run, run, told]):
        text = text_of(*shown)
        assert 0 < text.index(mine) < text.index("<table")


def test_a_phone_has_nothing_to_scroll_but_tables_and_the_drawing(told, first_run):
    text = re.sub(r"<script.*?</script>", "", page([told, read_run(first_run)]), flags=re.S)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert text.count("<table") == text.count('<div class="scroll"><table') > 5
    assert text.count("<svg") == 2
    assert '<div class="scroll across"><svg' in text
    assert '<div class="down"><svg' in text


def test_runs_that_failed_are_named_with_the_reason(told):
    text = text_of(told)
    missing = {run: why for network in told.comparison.networks for run, why in network.missing.items()}
    assert len(missing) == 4
    for run in missing:
        assert f"<li><b>{run}</b>: the loss of" in text
    whole = replace(told.comparison, networks=told.comparison.networks[:2])
    assert "Runs that are missing" not in text_of(replace(told, comparison=whole))


def test_a_forest_holds_every_change_with_its_interval_and_verdict(told):
    forest, _ = task_comparison_figures(told, "click")
    names = forest.layout["yaxis"]["ticktext"]
    drawn = {}
    for trace in forest.traces:
        for x, y, half in zip(trace["x"], trace["y"], trace["error_x"]["array"], strict=True):
            drawn[names[y]] = trace["name"], x, half
    known = {one.label: one.tasks["click"].change for one in told.comparison.networks[1:] if one.tasks}
    assert drawn.keys() == known.keys()
    for label, change in known.items():
        assert drawn[label][1:] == (change.value, pytest.approx(change.high - change.value))
    assert [drawn[label][0] for label in CHANGES] == ["gains", "loses"] + 2 * ["no difference seen"]
    assert {shape["x0"] for shape in forest.layout["shapes"]} == {0}


def test_a_network_far_off_leaves_the_others_their_room(told):
    far = replace(told.comparison.networks[1].tasks["click"], change=Interval(-9.0, -12.0, -6.0))
    networks = list(told.comparison.networks)
    networks[1] = replace(networks[1], tasks={"click": far})
    forest, _ = task_comparison_figures(replace(told, comparison=replace(told.comparison, networks=networks)), "click")
    low, high = forest.layout["xaxis"]["range"]
    (loses,) = [trace for trace in forest.traces if trace["name"] == "loses"]
    assert low < loses["x"][0] < 0.9 * low
    assert loses["marker"]["symbol"][0] == "triangle-left"
    assert "-9.0000 (-12.0000 … -6.0000)" in loses["customdata"][0]
    assert high < 3
    assert "arrow" in forest.note


def test_one_seed_has_marks_without_intervals_and_one_task_has_no_mean(told):
    found = told.comparison
    bare = []
    for one in found.networks:
        task = one.tasks.get("click")
        short = {} if task is None else {"click": replace(task, change=task.change and Interval(task.change.value))}
        bare.append(replace(one, delta=None, tasks=short))
    click = {"click": found.metrics["click"]}
    one = replace(told, comparison=replace(found, networks=bare, metrics=click, task_rows={"click": 450}))
    forest, _ = task_comparison_figures(one, "click")
    assert [trace["name"] for trace in forest.traces] == ["one seed cannot tell"]
    assert not any(trace["error_x"]["visible"] for trace in forest.traces)
    assert [figure.title for figure in whole_comparison_figures(one)] == ["Cost in time", "Cost in size"]
    assert "<h3>Cost</h3>" in text_of(one)


def test_costs_stand_against_the_mean_change(told):
    deltas, time, size = whole_comparison_figures(told)
    networks = {one.label: one for one in told.comparison.networks}
    for figure, cost in ((time, "cpu_seconds"), (size, "parameters")):
        for trace in figure.traces:
            one = networks[trace["name"]]
            assert trace["x"] == [getattr(one, cost)]
            assert trace["y"] == [pytest.approx(100 * one.delta.value if one.delta else 0)]
    assert {trace["name"] for trace in time.traces} - {trace["name"] for trace in size.traces} == {"trees"}
    assert len(deltas.layout["yaxis"]["ticktext"]) == len(time.traces) - 1


@pytest.mark.parametrize("task", ["click", "dwell"])
def test_curves_are_those_of_the_histories_and_their_mean(told, task):
    metric = told.comparison.metrics[task]
    _, curves = task_comparison_figures(told, task)
    means = {trace["name"]: trace for trace in curves.traces if trace.get("showlegend", True)}
    assert len(curves.traces) == 3 * len(means)
    setting = ",optimizer.lr=0.003" if told.comparison.networks[0].overrides.get(task) else ""
    folders = {"alone": f"alone.{task}{setting}", "config": "config"}
    assert folders.keys() < means.keys()
    for label, folder in folders.items():
        seeds = []
        for seed in (0, 1):
            file = told.path / "runs" / folder / f"seed{seed}" / "history.jsonl"
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            seeds.append([line["valid"][task][metric] for line in lines if "valid" in line])
        assert means[label]["y"] == pytest.approx(list(np.mean(seeds, axis=0)))
        assert means[label]["x"] == [1, 2, 3]
        faint = [trace["y"] for trace in curves.traces if trace["legendgroup"] == means[label]["legendgroup"]]
        assert seeds[0] in faint
        assert seeds[1] in faint


def test_the_mean_goes_as_far_as_all_seeds_and_damaged_histories_are_left_out(compared):
    runs = compared / "runs"
    shutil.rmtree(runs / "alone.click")
    (runs / "config" / "seed0" / "history.jsonl").write_text('[1]\n{"valid": 3}\n{"valid": {"click": 1}}\n')
    history = next(runs.glob("*sum/seed1")) / "history.jsonl"
    lines = [line for line in history.read_text().splitlines(keepends=True) if '"valid"' in line]
    history.write_text("".join(lines[:1]))
    _, curves = task_comparison_figures(read_comparison(compared), "click")
    means = {trace["name"]: trace["x"] for trace in curves.traces if trace.get("showlegend", True)}
    assert means == {"config": [1, 2, 3], "lr=0.003, sum": [1], "lr=0.003, famo": [1, 2, 3]}
    shutil.rmtree(runs)
    assert len(task_comparison_figures(read_comparison(compared), "click")) == 1
    assert "history lies beside" in text_of(read_comparison(compared))


def test_the_file_itself_will_do_and_json_holds_the_same(compared):
    by_file, by_folder = read_comparison(compared / "comparison.json"), read_comparison(compared)
    assert by_file == by_folder
    (plain,) = figures_json([by_file])
    assert plain["result"] == json.loads((compared / "comparison.json").read_text())
    assert set(plain["tasks"]) == {"click", "dwell"}
    assert json.dumps(plain, allow_nan=False)


def damage(raw, *path, value):
    for key in path[:-1]:
        raw = raw[key]
    raw[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ((), None, "{"),
        (("networks",), [], "first of its networks"),
        (("networks",), {}, "networks"),
        (("networks", 1, "tasks"), [1], "networks.1.tasks"),
        (("networks", 1, "tasks", "click", "change"), {"value": "much"}, "change.value"),
        (("networks", 1, "tasks", "click", "mean", "value"), float("nan"), "NaN"),
        (("networks", 0, "kind"), "forest", "networks.0.kind"),
        (("task_rows",), {"click": 5}, "same tasks"),
        (("metrics",), {}, "same tasks"),
        (("chosen",), "nobody", "nobody"),
        (("seeds",), "0", "seeds"),
        (("resamples",), None, "resamples"),
    ],
)
def test_damaged_and_foreign_files_are_named(compared, path, value, told):
    file = compared / "comparison.json"
    raw = json.loads(file.read_text())
    if path:
        damage(raw, *path, value=value)
    file.write_text(json.dumps(raw) if path else "{")
    with pytest.raises(UserError) as raised:
        read_comparison(compared)
    (problem,) = raised.value.problems
    assert str(file) in problem
    assert told in problem or not path


def test_names_and_anchors_tell_parts_of_a_page_apart():
    paths = [Path("/a/c/sum/seed0"), Path("/a/c/famo/seed0"), Path("/a/c/famo/seed0"), Path("/a/c"), Path("/b/c")]
    assert told_apart(paths) == ["sum/seed0", "famo/seed0", "famo/seed0 (2)", "a/c", "b/c"]
    assert told_apart([Path("/a/run")]) == ["run"]
    made = anchors(["a b", "a-b", "é", "<b>"])
    assert len(set(made)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", anchor) for anchor in made)
