import json
import re
import shutil
import sys
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
import torch
from plotly.offline import get_plotlyjs

from trunkline import cli
from trunkline.errors import UserError
from trunkline.inference.curves import curves
from trunkline.report import read_run, write_report
from trunkline.report.graph import graph
from trunkline.report.page import page
from trunkline.report.training_figures import training_figures
from trunkline.tasks import TASK_KINDS, Binary, Multiclass, Ordinal, Regression


def test_the_page_holds_all_that_the_run_knows(run, tmp_path):
    found = read_run(run)
    drawn = training_figures(found)
    write_report([found], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert [figure.title for figure in drawn] == [
        "Training losses",
        "Validation scores",
        "Shares of the objective",
        "Weights of the losses",
        "σ by task",
        "Gradient norms at the fork",
        "Cosines of the tasks' gradients",
        "Gradient weights at the fork",
        "Learning rates by subnet",
        "Sizes of updates by subnet",
        "Entropy of the gates",
        "Use of the experts",
    ]
    assert all(any(len(trace.get("y", trace.get("z", []))) for trace in figure.traces) for figure in drawn)
    assert len(text) < 6_000_000
    ours = text.replace(get_plotlyjs(), "")
    assert len(ours) < 500_000
    assert not re.search(r'(src|href)="(https?:)?//|url\((?!#)|@import', ours)
    assert "<b>a run" not in text  # a name is text, not a tag
    assert "before calibration" in text
    assert found.config.to_yaml().splitlines()[-1] in text
    for name, values in found.metrics["test"].items():
        assert f"<td>{name}</td><td>" in text.replace("&amp;", "&")
        assert f"<td>{values['rows']:,}</td>" in text


def test_updates_are_the_steps_the_optimiser_took(run):
    sizes = read_run(run).series("updates")

    assert {"embedding", "shared", "tower.click", "gate.buy"} <= set(sizes)
    assert all(0 < value < 1 for _, values in sizes.values() for value in values)


def test_several_runs_stand_side_by_side(run):
    text = page([read_run(run), read_run(run)])

    assert text.count("headline scores, test") == 1
    assert text.count("<section") == 2
    ids = re.findall(r' id="([^"]+)"', text.replace(get_plotlyjs(), ""))
    assert len(ids) == len(set(ids)) > 4
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)
    assert set(re.findall(r"url\(#(part[^)]+)\)", text)) <= set(ids)


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["trunkline", "report", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_the_command_writes_beside_the_run_or_where_it_is_told(run, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, run, "--quick") == 0
    assert not (run / "insight.json").exists()
    assert capsys.readouterr().err == ""
    assert command(monkeypatch, run) == 0
    assert (run / "report.html").stat().st_size > 1_000_000
    assert "looked into in" in capsys.readouterr().err
    assert read_run(run).insight is not None
    assert command(monkeypatch, run, "-o", tmp_path / "there.html") == 0
    assert (tmp_path / "there.html").exists()
    capsys.readouterr()
    assert command(monkeypatch, run, "--json") == 0
    told = capsys.readouterr()
    assert told.err == ""  # nothing is looked for twice
    (figures,) = json.loads(told.out)
    assert "leak" in [finding["kind"] for finding in figures["insight"]["findings"]]
    assert figures["metrics"] == read_run(run).metrics
    assert {"click", "dwell", "buy", "which"} == set(figures["tasks"])
    assert command(monkeypatch, tmp_path) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert command(monkeypatch, run, "-o", tmp_path / "no" / "there.html") == 2


def test_the_command_takes_comparisons_beside_runs_and_tells_all_that_is_wrong(
    run, compared, tmp_path, monkeypatch, capsys
):
    assert command(monkeypatch, compared / "comparison.json") == 0
    assert (compared / "report.html").exists()
    assert command(monkeypatch, compared, run, "--quick", "--json") == 0
    assert [{"comparison", "run"} & one.keys() for one in json.loads(capsys.readouterr().out.splitlines()[-1])] == [
        {"comparison"},
        {"run"},
    ]
    (compared / "comparison.json").unlink()
    (compared / "comparison.yaml").touch()
    assert command(monkeypatch, compared, tmp_path, run) == 2
    told = capsys.readouterr().err
    assert "comparison.json does not exist; trunkline compare writes it" in told
    assert "is no run folder" in told


def test_a_run_that_has_not_ended_is_drawn_as_far_as_it_came(run, tmp_path):
    part = tmp_path / "part"
    part.mkdir()
    for name in ("config.yaml", "history.jsonl", "encoder.json"):
        shutil.copy(run / name, part / name)
    text = page([read_run(part)])
    assert "has not ended" in text
    (part / "history.jsonl").write_text("")
    with pytest.raises(UserError, match="no history yet"):
        read_run(part)


def test_roc_and_precision_recall_are_scikit_learns():
    from sklearn.metrics import precision_recall_curve, roc_curve

    draw = np.random.default_rng(0)
    score = draw.normal(size=3_000).round(1)
    label = (draw.random(3_000) < 1 / (1 + np.exp(-score))).astype(float)
    found = curves(Binary(name="y"), torch.tensor(score)[:, None], torch.tensor(label))
    false, true, _ = roc_curve(label, score, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(label, score)

    assert_among(found["roc"].values(), (false, true))
    assert (found["roc"]["false"][0], found["roc"]["true"][-1]) == (0, 1)
    mine = found["precision_recall"]
    assert_among((mine["recall"], mine["precision"]), (recall, precision))
    assert mine["base"] == label.mean()


def assert_among(found, known):
    """Every point of a curve is one of those known, to the six digits that are kept."""
    x, y = map(np.array, found)
    near = np.abs(x[:, None] - known[0]) + np.abs(y[:, None] - known[1])
    assert len(x) > 40
    assert near.min(axis=1).max() < 2e-6


def test_groups_lift_and_residuals():
    label = torch.arange(1000, dtype=torch.float64)
    task = Regression(name="y")
    found = curves(task, label[:, None] + 0.5, torch.where(label < 990, label, torch.nan))

    assert found["calibration"]["rows"] == [99] * 10
    np.testing.assert_allclose(found["calibration"]["estimate"], np.array(found["calibration"]["label"]) + 0.5)
    assert found["lift"] == sorted(found["lift"], reverse=True)
    assert np.mean(found["lift"]) == pytest.approx(1)
    assert sum(found["residuals"]["rows"]) == 990
    assert curves(task, torch.zeros(3, 1), torch.full((3,), torch.nan)) == {}


def test_confusion_counts_rows_and_ordinal_labels_are_levels():
    raw = torch.eye(3, dtype=torch.float64)[[0, 1, 2, 2]] * 5
    found = curves(Multiclass(name="y", classes=3), raw, torch.tensor([0.0, 1.0, 1.0, 2.0]))
    assert found["confusion"] == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]

    task = Ordinal(name="y", values=(10, 20, 40))
    drawn = curves(task, torch.zeros(30, 2, dtype=torch.float64), torch.arange(30).double() % 3)
    assert np.mean(drawn["calibration"]["label"]) == pytest.approx(70 / 3)


@pytest.mark.parametrize("label", [torch.zeros(5), torch.ones(5), torch.tensor([1.0])])
def test_one_class_or_one_row_draws_what_it_can(label):
    found = curves(Binary(name="y"), torch.linspace(-1, 1, len(label))[:, None], label)
    assert "roc" not in found
    assert json.dumps(found, allow_nan=False)
    assert sum(found["calibration"]["rows"]) == len(label)


def test_the_choice_of_the_epoch_is_told_for_every_task(run):
    shown = read_run(run)
    text = page([shown])
    assert len(shown.epochs) == 2
    selected = shown.metrics["selected_epoch"]
    part = text[text.index("Choice of the epoch") : text.index("<h3>Network")]
    assert f"<th>epoch {selected}</th>" in part
    for task, config in shown.config.tasks.items():
        metric = TASK_KINDS[config.kind].headline
        scores = [line["valid"][task][metric] for line in shown.epochs]
        known = [score for score in scores if score is not None]
        assert f"{task} {metric.replace('_', ' ')}</td>" in part
        assert f"<td>{max(known):.4f}</td>" in part
        assert f"<td>{max(known) - scores[selected - 1]:.4f}</td>" in part


def test_text_stays_inside_the_boxes_of_the_drawing(run):
    """By the usual widths of characters; what is longer is made smaller, or cut."""
    shown = read_run(run)
    tasks = {
        f"{'W' * 3 * i}_{'long name ' * i}": task.model_copy(update={"reads": []})
        for i, task in enumerate(shown.config.tasks.values(), 1)
    }
    shown = replace(shown, config=shown.config.model_copy(update={"tasks": tasks}))
    drawings = re.findall(r"<svg.*?</svg>", graph(shown, "a"))
    assert len(drawings) == 2
    for drawing in drawings:
        boxes = re.findall(r'<rect [^>]*width="([\d.]+)"[^>]*/>(.*?)</g>', drawing)
        assert len(boxes) == 2 + len(tasks)
        for width, texts in boxes:
            for attributes, text in re.findall(r"<text([^>]*)>([^<]*)<", texts):
                size = 11.0 if "small" in attributes else 13.0
                if smaller := re.search(r"font-size:([\d.]+)px", attributes):
                    assert 0.75 * size < float(smaller[1]) < size
                    size = float(smaller[1])
                assert size * sum(0.95 if one.isupper() else 0.55 for one in unescape(text)) < float(width)
        assert "…" in drawing
