import numpy as np
import polars as pl
import pytest

from trunkline import UserError
from trunkline.inference.top_rows import ranked_by, top_rows
from trunkline.tasks import Binary, Multiclass, Regression


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64, pl.Int64])
@pytest.mark.parametrize(
    ("rows", "count", "piece"), [(1, 1, 1), (50, 7, 8), (200, 30, 7), (100, 500, 33), (64, 64, 64)]
)
def test_the_same_rows_as_a_stable_sort_of_all(rows, count, piece, dtype):
    draw = np.random.default_rng(rows + count)
    frame = pl.DataFrame({"row": np.arange(rows), "score": draw.integers(0, 9, rows)}).cast({"score": dtype})
    order = np.argsort(-frame["score"].to_numpy().astype(float), kind="stable")[:count]

    found = top_rows(frame.iter_slices(piece), count, by="score")

    assert found["row"].to_list() == order.tolist()
    assert found.schema == frame.schema


def test_what_has_no_value_comes_last():
    frame = pl.DataFrame({"score": [None, float("nan"), -1.0, float("nan"), 2.0, float("-inf")]}).with_row_index()
    for piece in range(1, 7):
        assert top_rows(frame.iter_slices(piece), 6, by="score")["index"].to_list() == [4, 2, 5, 0, 1, 3]
        assert top_rows(frame.iter_slices(piece), 2, by="score")["index"].to_list() == [4, 2]


def test_no_more_than_count_rows_and_a_frame_are_held():
    """Frames are taken one at a time, and what was left out of them is let go."""
    taken = []

    def frames():
        for i in range(20):
            assert len(taken) == i
            taken.append(i)
            yield pl.DataFrame({"score": [float(i), -1.0, 100.0 - i]})

    found = top_rows(frames(), 3, by="score")
    assert found["score"].to_list() == [100.0, 99.0, 98.0]
    assert found["score"].n_chunks() <= 3


CLICK, DWELL, TOPIC = Binary(name="click"), Regression(name="dwell"), Multiclass(name="topic")
MADE = pl.DataFrame(
    schema={
        "click": pl.Float32,
        "dwell": pl.Float64,
        "dwell_sigma": pl.Float64,
        "topic": pl.Int64,
        "topic_3": pl.Float32,
    }
)


def test_what_ranks():
    assert ranked_by(None, [CLICK], MADE.select("click")) == "click"
    assert ranked_by("dwell", [CLICK, DWELL, TOPIC], MADE) == "dwell"
    assert ranked_by("topic_3", [CLICK, DWELL, TOPIC], MADE) == "topic_3"


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (None, "ranked by click, dwell, topic; name one: --by click"),
        ("dwel", "'dwel' is none of the estimates; did you mean 'dwell'"),
        ("topic", "classes have no order; name a probability: --by topic_3"),
    ],
)
def test_what_does_not(by, words):
    with pytest.raises(UserError, match=words):
        ranked_by(by, [CLICK, DWELL, TOPIC], MADE)


def test_no_rows_are_not_asked_for():
    with pytest.raises(UserError, match="at least 1"):
        top_rows([MADE], 0, by="click")
