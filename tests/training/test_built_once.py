"""A value is made once: one network a training, none for a prediction that the file does not hold."""

import polars as pl
import pytest
import torch

from trunkline import Model, fit
from trunkline.network import Network


@pytest.fixture
def built(monkeypatch):
    """Whether each network that is built has memory for its parameters."""
    made, init = [], Network.__init__

    def count(self, *arguments, **options):
        init(self, *arguments, **options)
        made.append(not next(self.parameters()).is_meta)

    monkeypatch.setattr(Network, "__init__", count)
    return made


def test_one_network_a_training_a_resume_and_none_for_a_prediction(make_rows, settings, tmp_path, built):
    rows = make_rows(200)
    fit(settings, train=rows, valid=make_rows(60, seed=1), out=tmp_path / "run", overrides={"training.epochs": 1})
    assert built.count(True) == 1
    assert built.count(False) <= 3  # checks before and after the rows are read, and what takes the selected tensors
    built.clear()
    fit(settings, train=rows, valid=make_rows(60, seed=1), out=tmp_path / "run", resume=True)
    assert built.count(True) == 1
    built.clear()
    model = Model.load(tmp_path / "run", device="cpu")
    model(rows)
    assert built == [False]


def test_a_loaded_network_is_the_trained_one(make_rows, settings, tmp_path):
    rows = make_rows(200)
    trained = fit(settings, train=rows, valid=make_rows(60, seed=1), out=tmp_path / "run")
    loaded = Model.load(tmp_path / "run", device="cpu")
    assert trained(rows).equals(loaded(rows))
    for one, other in zip(trained.network.buffers(), loaded.network.buffers(), strict=True):
        assert one.device.type == other.device.type == "cpu"
        assert torch.equal(one, other)
    assert all(parameter.requires_grad for parameter in loaded.network.parameters())
    assert isinstance(loaded(rows), pl.DataFrame)
