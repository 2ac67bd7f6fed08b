"""What is shown of a training: in a terminal, in a notebook, in a file, and where nothing is wanted."""

import builtins
import io
import re
import sys
import types

import pytest
from rich.console import Console

from trunkline import extend, fit
from trunkline.training.display import NotebookDisplay, Silent, TerminalDisplay, display_for
from trunkline.training.display.notebook import MOST_EPOCHS
from trunkline.training.display.terminal import MOST_LINES


@pytest.fixture
def parts(make_rows):
    return {"train": make_rows(120), "valid": make_rows(60, seed=1)}


@pytest.fixture
def notebook(monkeypatch):
    """A kernel, as far as a display can tell; the pictures that its front end was shown, as HTML."""
    shown = []

    class ZMQInteractiveShell:
        pass

    class Handle:
        def update(self, what):
            shown.append(what._repr_html_())

    def display(what, *, display_id):
        assert display_id
        shown.append(what._repr_html_())
        return Handle()

    monkeypatch.setattr(builtins, "get_ipython", ZMQInteractiveShell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    return shown


def line(epoch, *, best=False, valid=True):
    scores = {"click": {"auc": 0.5 + epoch / 1000, "rows": 9}} if valid else None
    return {"epoch": epoch, "step": epoch + 1, "valid": scores, "score": 0.5, "best": best}


def test_a_file_gets_a_few_plain_lines(settings, parts, capfd):
    model = fit(settings, **parts)
    out, err = capfd.readouterr()
    first, *epochs, last = err.splitlines()
    assert out == ""
    assert re.fullmatch(r"120 training rows, 60 validation rows; [\d,]+ parameters on cpu", first)
    assert len(epochs) == 2
    for told, one in zip(epochs, [one for one in model.history if "valid" in one], strict=True):
        assert told.startswith(f"epoch {one['epoch'] + 1}:  click auc {one['valid']['click']['auc']:.4f}")
    assert last == f"2 of 2 epochs; epoch {model.metrics['selected_epoch']} kept"


@pytest.mark.parametrize("epochs", [1, MOST_LINES, MOST_LINES + 1, 1000])
def test_a_long_training_does_not_flood_a_file(epochs):
    written = io.StringIO()
    display = TerminalDisplay(Console(file=written, width=200))
    display._epochs = epochs
    for epoch in range(epochs):
        display.line(line(epoch))
    told = [int(number) for number in re.findall(r"^epoch (\d+):", written.getvalue(), re.MULTILINE)]
    assert len(told) <= MOST_LINES + 2
    assert told[-1] == epochs
    assert len(told) == epochs or epochs > MOST_LINES


def test_a_terminal_has_a_bar(settings, parts, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    fit(settings, **parts)
    err = capfd.readouterr().err
    assert "rows/s" in err
    assert "\x1b[" in err


def test_nothing_is_shown_where_nothing_is_wanted(settings, parts, capfd, notebook, tmp_path):
    fit(settings, **parts, progress=False, out=tmp_path / "run")
    new = {"tasks": {"again": {"kind": "binary", "label": "buy"}}}
    extend(tmp_path / "run", new, **parts, progress=False)
    assert capfd.readouterr() == ("", "")
    assert notebook == []
    assert isinstance(display_for(False), Silent)


def test_a_notebook_gets_a_table_drawn_in_place(settings, parts, capfd, notebook):
    model = fit(settings, **parts, overrides={"training.epochs": 3})
    assert capfd.readouterr() == ("", "")
    assert len(notebook) >= 2
    assert "<progress" in notebook[0]
    assert "<progress" not in notebook[-1]
    epochs = [one for one in model.history if "valid" in one]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", notebook[-1])][1:]
    expected = [[f"{one['valid'][task][m]:.4f}" for task, m in (("click", "auc"), ("buy", "auc"))] for one in epochs]
    assert [[row[1], row[3]] for row in rows] == expected
    assert [row[0] for row in rows] == [f"{i + 1}{' ★' if one['best'] else ''}" for i, one in enumerate(epochs)]
    assert f"3 of 3 epochs, epoch {model.metrics['selected_epoch']} kept" in notebook[-1]


def test_a_notebook_shows_how_far_it_came_without_validation_or_with_an_error(settings, parts, notebook):
    def stop(line):
        if line["step"] == 6:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        fit(settings, train=parts["train"], on_line=stop, overrides={"training.epochs": 3})
    assert "1 of 3 epochs, epoch 1 kept" in notebook[-1]
    assert re.findall(r"<th>(.*?)</th>", notebook[-1]) == ["epoch"]


def test_a_notebook_shows_the_last_epochs_and_escapes_names():
    display = NotebookDisplay()
    display._sizes = "<b>"
    for epoch in range(3 * MOST_EPOCHS):
        display.line(line(epoch))
    display._epochs[0]["valid"] = {"a<b": {"auc": 0.5}}
    for one in display._epochs:
        one["valid"] = {"a<b": {"auc": 0.5}}
    html = display._repr_html_()
    assert "&lt;b&gt;" in html
    assert "a&lt;b auc" in html
    first = re.findall(r"<td>(\d+)</td><td>", html)[0]
    assert int(first) == 2 * MOST_EPOCHS + 1


@pytest.mark.parametrize("kept", [True, False])
def test_an_interrupt_says_how_to_go_on(settings, parts, tmp_path, kept):
    run = tmp_path / "run"

    def stop(line):
        if "valid" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        fit(settings, **parts, out=run if kept else None, on_line=stop)
    (note,) = interrupted.value.__notes__
    assert (f"fit(…, out={str(run)!r}, resume=True)" in note) == kept
    assert (f"Model.load({str(run)!r})" in note) == kept
    assert ("nothing is left" in note) != kept


def test_the_display_changes_no_bit_of_the_training(settings, parts, notebook):
    shown, hidden = (fit(settings, **parts, progress=progress) for progress in (True, False))
    one, other = shown.network.state_dict(), hidden.network.state_dict()
    assert all(one[name].equal(other[name]) for name in one)
