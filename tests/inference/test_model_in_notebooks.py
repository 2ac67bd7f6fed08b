"""What a model says, shows and saves, as a notebook's user asks for it."""

from html.parser import HTMLParser

import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from trunkline import Model, UserError, fit
from trunkline.callbacks import Callback


@pytest.fixture(scope="module")
def tables(make_rows):
    return {"train": make_rows(200), "valid": make_rows(90, seed=1), "test": make_rows(70, seed=2)}


@pytest.fixture
def model(settings, tables):
    return fit(settings, **tables, overrides={"tasks.click.calibrate": "temperature"})


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.cells, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def test_it_says_tasks_and_scores_of_the_selected_epoch(model):
    scores, told = model.metrics["valid"], repr(model)
    assert model.tasks == {"click": "binary", "dwell": "regression", "buy": "binary", "topic": "multiclass"}
    headlines = {"click": "auc", "dwell": "r2", "buy": "auc", "topic": "macro_auc"}
    for name, metric in headlines.items():
        assert f"{name} ({model.tasks[name]}, {metric} {scores[name][metric]:.3f})" in told
    assert told.endswith(f"[validation rows, epoch {model.metrics['selected_epoch']} of 2]")
    html = Tags(model._repr_html_())
    assert html.open == []
    for name, metric in headlines.items():
        at = html.cells.index(name)
        score = f"{metric.replace('_', ' ')} {scores[name][metric]:.4f}"
        assert html.cells[at : at + 4] == [name, model.tasks[name], score, str(scores[name]["rows"])]


def test_a_model_of_an_unfinished_run_shows_the_best_epoch_so_far(settings, tables, tmp_path):
    class Stops(Callback):
        def on_line(self, loop, line):
            if "valid" in line and line["epoch"] == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(settings, **tables, out=tmp_path / "run", callbacks=[Stops()], overrides={"training.epochs": 3})
    half = Model.load(tmp_path / "run")
    epochs = [line for line in half.history if "valid" in line]
    best = max(epochs, key=lambda line: line["score"])
    assert f"click (binary, auc {best['valid']['click']['auc']:.3f})" in repr(half)
    (tmp_path / "run" / "history.jsonl").write_text('{"no": "step"}\n')
    assert repr(half).endswith("topic (multiclass)")


def test_names_cannot_break_the_table(settings, tables, tmp_path):
    run = tmp_path / "<b>&"
    assert "&lt;b&gt;&amp;" in fit(settings, **tables, out=run)._repr_html_()


def test_saved_and_loaded_it_estimates_the_same(model, settings, tables, tmp_path):
    assert model.save(tmp_path / "kept") == tmp_path / "kept"
    again = Model.load(tmp_path / "kept", device="cpu")
    assert_frame_equal(again(tables["test"]), model(tables["test"]), check_exact=True)
    assert (again.metrics, again.history) == (model.metrics, model.history)
    assert repr(again).replace(str(again.path), "") == repr(model).replace(str(model.path), "")
    assert again.decisions({"buy": "rate:0.2"}) == model.decisions({"buy": "rate:0.2"})
    assert again.watch() is not None


def test_a_model_of_a_folder_is_saved_with_what_it_goes_on_from(settings, tables, tmp_path):
    calibrated = {"tasks.click.calibrate": "temperature"}
    fit(settings, **tables, out=tmp_path / "run", overrides=calibrated).save(tmp_path / "kept")
    more = {"training.epochs": 3, **calibrated}
    longer = fit(settings, **tables, out=tmp_path / "kept", resume=True, overrides=more)
    assert longer.metrics["epochs"] == 3


def test_what_was_changed_in_memory_is_what_is_saved(model, tables, tmp_path):
    before = model(tables["test"])
    next(iter(model.network.towers.parameters())).data.mul_(2)
    model.save(tmp_path / "kept")
    assert_frame_equal(Model.load(tmp_path / "kept", device="cpu")(tables["test"]), model(tables["test"]))
    assert not before.equals(model(tables["test"]))


def test_saving_replaces_nothing_unasked(model, tmp_path):
    model.save(tmp_path / "kept")
    with pytest.raises(UserError, match="holds another run"):
        model.save(tmp_path / "kept")
    model.save(tmp_path / "kept", overwrite=True)
    with pytest.raises(UserError, match="lies already"):
        Model.load(tmp_path / "kept").save(tmp_path / "kept", overwrite=True)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        model.save(tmp_path / "file")


def test_scores_are_those_of_evaluate_as_a_frame(model, tables, tmp_path):
    expected = model.evaluate(tables["test"])
    tables["test"].write_parquet(tmp_path / "test.parquet")
    for given in (tables["test"], tmp_path / "test.parquet"):
        table = model.score(given)
        assert isinstance(table, pl.DataFrame)
        assert {
            row["task"]: {name: value for name, value in row.items() if name in expected[row["task"]]}
            for row in table.to_dicts()
        } == expected
        assert table.filter(pl.col("task") == "dwell")["auc"].to_list() == [None]
    brought = model.score(pd.DataFrame(tables["test"].to_dict(as_series=False)))
    assert isinstance(brought, pd.DataFrame)
    assert brought.set_index("task").loc["click", "auc"] == pytest.approx(expected["click"]["auc"], rel=1e-9)


def test_the_report_is_shown_in_a_frame_of_its_own(model, tmp_path, monkeypatch):
    report = model.report(quick=True)
    assert report.path == model.path / "report.html"
    assert str(report.path) in repr(report)
    page = report.path.read_text(encoding="utf-8")
    frame = report._repr_html_()
    attributes = dict(HTMLAttributes(frame).found)
    assert attributes["srcdoc"] == page
    assert "allow-same-origin" not in attributes["sandbox"]
    assert report.save(tmp_path / "other.html").read_text(encoding="utf-8") == page
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    report.open()
    assert opened == [report.path.resolve().as_uri()]


class HTMLAttributes(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        assert tag == "iframe"
        self.found += attributes


def test_a_report_says_what_it_could_not_look_for(model):
    assert "the run&#x27;s rows are not there" in model.report().html  # they came as frames


def test_a_frame_is_no_file_to_go_through(model, tables):
    with pytest.raises(UserError, match="iter reads files, and DataFrame is none; rows in memory go to predict"):
        model.iter(tables["test"])
