"""Runs that live in a temporary folder."""

import gc

import pytest
from safetensors.torch import load_file

from trunkline import UserError, fit


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.mark.parametrize("valid", [False, True])
def test_a_temporary_run_trains_the_same_network(make_rows, settings, temporary, tmp_path, valid):
    rows = make_rows()
    parts = {"train": rows.head(180), **({"valid": rows.tail(60)} if valid else {})}
    kept, gone = fit(settings, **parts, out=tmp_path / "run"), fit(settings, **parts)
    one, other = (load_file(model.path / "model.safetensors") for model in (kept, gone))
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)
    assert kept(rows).equals(gone(rows))
    told = ("valid", "epochs", "selected_epoch", "score")
    assert [kept.metrics.get(key) for key in told] == [gone.metrics.get(key) for key in told]
    assert len(kept.history) == len(gone.history) > 0
    assert (kept.path / "checkpoint" / "state.safetensors").exists()
    assert not (gone.path / "checkpoint" / "state.safetensors").exists()
    del gone
    gc.collect()
    assert list(temporary.glob("trunkline-*")) == []


def test_an_error_leaves_no_temporary_folder(make_rows, settings, temporary, tmp_path):
    far = {**settings, "optimizer": {"lr": 1e30}}
    with pytest.raises(UserError) as told:
        fit(far, train=make_rows())
    assert list(temporary.glob("trunkline-*")) == []  # though the traceback is still held
    assert "checkpoint" not in str(told.value)
    with pytest.raises(UserError, match="the last good checkpoint is"):
        fit(far, train=make_rows(), out=tmp_path / "run")
