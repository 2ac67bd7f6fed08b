"""Trainings without validation rows say so, and their scores are called what they are."""

import pytest

from trunkline import fit
from trunkline.cli.show import print_scores
from trunkline.training import unvalidated


def told(caplog):
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith("no validation rows")]


def assert_near(one, other):
    """The same scores, but for products of other shapes."""
    assert one.keys() == other.keys()
    for task, scores in one.items():
        for name, value in scores.items():
            near = other[task][name] if value is None else pytest.approx(other[task][name], rel=1e-4, abs=1e-6)
            assert value == near, (task, name)


def test_scores_are_of_training_rows_and_called_optimistic(settings, make_rows, caplog, capsys):
    rows = make_rows(150)
    model = fit(settings, train=rows)
    assert_near(model.metrics["train"], model.evaluate(rows))
    assert {"valid", "test"}.isdisjoint(model.metrics)
    assert repr(model).endswith("[training rows, optimistic, epoch 2 of 2]")
    (said,) = told(caplog)
    assert said.startswith("no validation rows: the last epoch is kept")
    assert "scores are of training rows, which are optimistic" in said
    print_scores(model.metrics)
    out = capsys.readouterr().out
    assert "rows it learned from, optimistic" in out
    assert "epoch 2 of 2 kept, the last one" in out
    assert "optimistic" in model.report(quick=True).html


def test_the_line_that_is_proposed_gives_validation_rows(settings, make_rows, caplog):
    fit(settings, train=make_rows(150))
    assert unvalidated.SPLIT in told(caplog)[0]
    caplog.clear()
    split = {"by": "random", "valid": 0.1}
    model = fit(settings, train=make_rows(150), overrides={"data.split": split})
    assert "valid" in model.metrics
    assert told(caplog) == []


def test_test_rows_need_no_scores_of_training_rows(settings, make_rows, caplog):
    model = fit(settings, train=make_rows(150), test=make_rows(60, seed=1))
    assert "train" not in model.metrics
    assert "optimistic" not in told(caplog)[0]
    assert "[test rows, epoch 2 of 2]" in repr(model)


@pytest.mark.parametrize("most", [1, 7, 149, 150])
def test_of_many_rows_some_at_even_distances_are_scored(settings, make_rows, monkeypatch, most):
    monkeypatch.setattr(unvalidated, "MOST", most)
    rows = make_rows(150)
    model = fit(settings, train=rows, overrides={"training.epochs": 1})
    assert_near(model.metrics["train"], model.evaluate(rows[[i * 150 // most for i in range(most)]]))
