import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from plotly.offline import get_plotlyjs

from trunkline import cli, fit
from trunkline.datasets import feed
from trunkline.errors import UserError
from trunkline.report import read_run, write_report
from trunkline.report.figures import training_figures
from trunkline.report.page import page
from trunkline.tasks import Binary, Multiclass, Ordinal, Regression
from trunkline.training.curves import curves

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WATCH = """<script>
window.problems=[];onerror=(m)=>problems.push(String(m));console.error=(...m)=>problems.push(m.join(' '));
addEventListener('load',()=>setTimeout(()=>{
const plots=[...document.querySelectorAll('.plot')];
const drawn=plots.filter(p=>p.querySelector('.main-svg .trace, .main-svg .point, .main-svg .heatmaplayer image'));
Plotly.Fx.hover(plots[0],[{curveNumber:0,pointNumber:1}]);
document.body.setAttribute('data-found',JSON.stringify({problems,plots:plots.length,drawn:drawn.length,
hover:document.querySelectorAll('.hoverlayer .hovertext').length,
wide:document.documentElement.scrollWidth-document.documentElement.clientWidth}))},2500))</script>"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "<b>a run"
    frame = feed.simulate(6_000, seed=1)
    config = {
        "features": {"item": "categorical", "device": "categorical", "price": "numeric", "age": "numeric"},
        "tasks": {
            "click": {"kind": "binary", "calibrate": "temperature"},
            "dwell": {"kind": "lognormal", "where": "click"},
            "buy": {"kind": "binary", "label": "purchase", "space": "click", "reads": ["click"]},
            "which": {"kind": "multiclass", "label": "category"},
        },
        "network": {"sharing": {"kind": "mmoe", "experts": 3, "hidden": [8]}, "towers": {"hidden": [4]}},
        "balance": {"gradients": "pcgrad"},
        "training": {"epochs": 2, "batch_size": 512, "log_every": 3, "log_gradients": True},
    }
    fit(config, out=folder, **feed.split(frame))
    return folder


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


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed; the page is not opened")
@pytest.mark.parametrize("width", [390, 1200])
def test_a_browser_draws_every_figure_without_a_word(run, tmp_path, width):
    text = page([read_run(run)])
    # A headless window is not narrower than 500 px: a frame of the width asked for stands in for a phone.
    (tmp_path / "page.html").write_text(text.replace("<head>", f"<head>{WATCH}", 1), encoding="utf-8")
    frame = (
        f'<iframe id="f" src="page.html" style="width:{width}px;height:900px;border:0"></iframe>'
        "<script>setTimeout(()=>{document.body.setAttribute('data-found',"
        "document.getElementById('f').contentDocument.body.getAttribute('data-found'))},9000)</script>"
    )
    (tmp_path / "frame.html").write_text(f"<!doctype html><body>{frame}</body>", encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--window-size=1300,950",
    ]
    dumped = subprocess.run(
        [CHROMIUM, *options, "--virtual-time-budget=20000", "--dump-dom", f"file://{tmp_path}/frame.html"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = json.loads(re.search(r'data-found="([^"]*)"', dumped)[1].replace("&quot;", '"'))

    assert found["problems"] == []
    assert found["plots"] == found["drawn"] > 15
    assert found["hover"] > 0
    assert found["wide"] <= 0  # nothing to scroll sideways


def test_several_runs_stand_side_by_side(run):
    text = page([read_run(run), read_run(run)])

    assert text.count("headline scores, test") == 1
    assert text.count("<section") == 2


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["trunkline", "report", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def test_the_command_writes_beside_the_run_or_where_it_is_told(run, tmp_path, monkeypatch, capsys):
    assert command(monkeypatch, run) == 0
    assert (run / "report.html").stat().st_size > 1_000_000
    assert command(monkeypatch, run, "-o", tmp_path / "there.html") == 0
    assert (tmp_path / "there.html").exists()
    capsys.readouterr()
    assert command(monkeypatch, run, "--json") == 0
    (figures,) = json.loads(capsys.readouterr().out)
    assert figures["metrics"] == read_run(run).metrics
    assert {"click", "dwell", "buy", "which"} == set(figures["tasks"])
    assert command(monkeypatch, tmp_path) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert command(monkeypatch, run, "-o", tmp_path / "no" / "there.html") == 2


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
