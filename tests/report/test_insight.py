"""What is found in a run, on its page: looked for once, kept, and said where it cannot be had."""

import json
import re
from dataclasses import replace
from html import escape

import pytest

from trunkline.insight.diagnosis.findings import OF_ROWS
from trunkline.insight.diagnosis.record import write_record
from trunkline.insight.importance.result import Importance, TaskImportance
from trunkline.insight.quality.task_quality import LabelShape, TaskQuality
from trunkline.insight.statistics.intervals import Interval
from trunkline.report import read_run
from trunkline.report.importance_figure import MOST, importance_figure
from trunkline.report.insight import Insight, find_insight
from trunkline.report.page import figures_json, page

NOTHING = Insight(findings=[], looked=["rows"], skipped=[], importance=None, gaps=[])

SOUND = TaskQuality(
    task="buy",
    kind="binary",
    headline="auc",
    rows=900,
    score=Interval(0.8, 0.79, 0.81, 0.005),
    constant=0.5,
    base=0.3,
    r2=None,
    linear=0.78,
    ahead=Interval(0.02, 0.01, 0.03, 0.005),
    calibration=None,
    measure="log_loss",
    epochs=(0.5,),
    error=0.01,
    better=False,
    constant_measure=0.6,
    headlines=(0.8,),
    losses=(0.5,),
    selected=0,
    label=LabelShape(rows=900, zeros=0.7, negative=False, whole=True, spread=2.0),
)


def text_of(run):
    """The page without plotly, whose source is long to search."""
    return re.sub(r"<script>.*?</script>", "", page([run]), flags=re.S)


@pytest.fixture
def seen(run):
    """A run that has been looked into."""
    find_insight(run, lambda step: None)
    return run


def test_findings_stand_on_top_with_weight_sentence_and_remedy(seen):
    run = read_run(seen)
    text = text_of(run)
    found = run.insight.findings
    assert {"leak", "constant_columns"} <= {finding.kind for finding in found}
    assert [finding.weight for finding in found] == sorted((finding.weight for finding in found), reverse=True)
    assert text.index("Findings") < text.index("Scores")
    for finding in found:
        assert f">{finding.weight:.2f}<" in text
        assert f"{finding.kind.replace('_', ' ')}</b>: {escape(finding.sentence)}" in text
        assert f"<code>{escape(finding.remedy)}</code>" in text
    of_rows = [finding for finding in found if finding.kind in OF_ROWS]
    links = re.findall(r'<a href="#(part[^"]+-finding-\d+)">([^<]+)</a>', text[text.index("<h3>Data") :])
    assert [told for _, told in links] == [escape(finding.sentence) for finding in of_rows]
    assert all(f'id="{anchor}"' in text for anchor, _ in links)


def test_tasks_stand_beside_a_linear_model_where_somebody_has_looked(seen):
    assert "Beside a linear model" not in text_of(read_run(seen))
    write_record(seen, {"buy": SOUND}, [])
    text = text_of(read_run(seen))
    assert "<td>buy auc</td><td>0.8000 ± 0.0100</td><td>0.7800</td><td>+0.0200 ± 0.0100</td>" in text
    assert text.index("Scores") < text.index("Beside a linear model") < text.index("Network</h3>")
    with (seen / "history.jsonl").open("a") as history:
        history.write("\n")
    assert "Beside a linear model" not in text_of(read_run(seen))  # of another model


def test_what_was_found_is_used_again_for_this_model_alone(seen):
    kept = (seen / "insight.json").read_bytes()
    first = read_run(seen).insight
    assert first == find_insight(seen, lambda step: None)

    for change in (
        b"{",
        b'{"key": "x"}',
        b"[]",
        kept.replace(b'"confidence"', b'"certainty"'),
        kept.replace(b'"key": "', b'"key": "0'),
    ):
        (seen / "insight.json").write_bytes(change)
        assert read_run(seen).insight is None
    (seen / "insight.json").write_bytes(kept)
    assert read_run(seen).insight == first
    model = (seen / "model.safetensors").read_bytes()
    (seen / "model.safetensors").write_bytes(model[:-1] + bytes([model[-1] ^ 1]))
    assert read_run(seen).insight is None
    (seen / "model.safetensors").unlink()
    assert read_run(seen).insight is None


def test_where_rows_are_gone_the_page_says_so_and_draws_the_rest(run):
    config = run / "config.yaml"
    config.write_text(re.sub(r"/test\.parquet|/train\.parquet", "/gone.parquet", config.read_text()))
    insight = find_insight(run, lambda step: None)
    assert insight.importance is None
    assert insight.skipped
    assert not (run / "insight.json").exists()
    text = text_of(replace(read_run(run), insight=insight))
    assert "Not looked at: " in text
    assert "gone.parquet" in text[text.index("Left out: ") :]
    assert text.count('class="plot"') == text_of(read_run(run)).count('class="plot"') > 15
    assert "Not looked for" in text_of(read_run(run))


def test_a_run_without_a_model_yet_says_so(run):
    (run / "model.safetensors").unlink()
    insight = find_insight(run, lambda step: None)
    assert insight.findings is None
    assert len(insight.gaps) == 1
    assert "no trained model yet" in text_of(replace(read_run(run), insight=insight))


def test_nothing_found_is_said_and_what_was_looked_at(run):
    text = text_of(replace(read_run(run), insight=replace(NOTHING, skipped=["ids", "no rows"])))
    assert "Nothing found." in text
    assert "1 things looked at" in text
    assert "Not looked at: ids; no rows." in text


def test_the_importance_of_every_task_is_drawn_as_it_was_found(seen):
    run = read_run(seen)
    assert run.insight.importance.tasks.keys() == set(run.tasks)
    for task, found in run.insight.importance.tasks.items():
        figure = importance_figure(run, task)
        (bars,) = figure.traces
        for i, name in enumerate(figure.layout["yaxis"]["ticktext"]):
            one = found.features[name]
            assert bars["x"][i] == one.value
            assert bars["x"][i] - bars["error_x"]["arrayminus"][i] == pytest.approx(one.low)
            assert bars["x"][i] + bars["error_x"]["array"][i] == pytest.approx(one.high)
    assert importance_figure(run, "click").layout["yaxis"]["ticktext"][0] == "<i>hint"
    titles = [figure["title"] for figure in figures_json([run])[0]["tasks"]["click"]]
    assert titles[-1] == "Importance of features"


def test_the_largest_are_drawn_and_the_others_counted(run):
    drops = {f"x{i}": Interval(1 / (i + 1), 0.0, 1.0) for i in range(MOST + 3)}
    drops |= {"still": Interval(0.0, 0.0, 0.0), "unknown": None}
    drops |= {"open": Interval(-0.5)}
    tasks = {"click": TaskImportance(metric="auc", score=0.7, features=drops)}
    tasks["dwell"] = TaskImportance(metric="spearman", score=None, features={"x": drops["unknown"]})
    asked = Importance(part="valid", rows=900, repeats=3, confidence=0.9, tasks=tasks)
    shown = replace(read_run(run), insight=replace(NOTHING, importance=asked))
    figure = importance_figure(shown, "click")
    assert figure.layout["yaxis"]["ticktext"] == [f"x{i}" for i in range(MOST)]
    assert f"5 further features: at most {1 / (MOST + 1):.2g}" in figure.note
    assert "900 valid rows" in figure.note
    assert "90 % intervals" in figure.note
    assert importance_figure(shown, "dwell") is None  # nothing of it is known
    assert importance_figure(shown, "buy") is None  # nobody asked
    assert json.dumps(figures_json([shown]), allow_nan=False)
