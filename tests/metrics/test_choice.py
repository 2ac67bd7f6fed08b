"""The selected epoch beside what each task would have had."""

import numpy as np
import pytest

from trunkline.metrics.choice import choices

HEADLINES = {"click": "auc", "dwell": "spearman", "never": "auc"}


@pytest.mark.parametrize(("epochs", "selected"), [(2, 1), (5, 4), (9, 9)])
def test_what_a_task_pays_is_its_best_less_the_selected_score(epochs, selected):
    scores = np.random.default_rng(epochs).uniform(size=(epochs, 2))
    lines = [
        {"epoch": i, "valid": {"click": {"auc": a}, "dwell": {"spearman": b}, "never": {"auc": None}}}
        for i, (a, b) in enumerate(scores.tolist())
    ]
    found = {one.task: one for one in choices(lines, HEADLINES, selected)}
    assert list(found) == ["click", "dwell"]
    for i, one in enumerate(found.values()):
        assert one.best == scores[:, i].max()
        assert one.best_epoch == scores[:, i].argmax() + 1
        assert one.paid == scores[:, i].max() - scores[selected - 1, i] >= 0
        assert ("more" in one.told) == (one.best_epoch != selected)


def test_gaps_are_left_open():
    lines = [{"epoch": 0, "valid": None}, {"epoch": 1, "valid": {"click": {"auc": 0.6}}}]
    (one,) = choices(lines, {"click": "auc"}, 1)
    assert (one.score, one.paid, one.best_epoch) == (None, None, 2)
    assert "not defined at" in one.told
    assert choices(lines, {"click": "auc"}, None) == []
    assert choices([], HEADLINES, 1) == []
