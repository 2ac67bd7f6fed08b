"""Estimators as files, and the folders of their runs."""

import copy
import gc
import pickle
import pickletools
import subprocess
import sys

import joblib
import numpy as np
import pytest

from trunkline.errors import UserError
from trunkline.sklearn import MultiTaskClassifier, MultiTaskMixed, MultiTaskRegressor


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where temporary folders are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def fitted(temporary, table, quick):
    X, y = table
    tasks = {"click": "binary", "dwell": {"kind": "lognormal", "reads": ["click"]}}
    return MultiTaskMixed(tasks=tasks, **{**quick, "epochs": 2}).fit(X, y)


def test_a_copy_says_the_same(fitted, table, tmp_path):
    X, y = table
    joblib.dump(fitted, tmp_path / "kept.joblib")
    copies = [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted), joblib.load(tmp_path / "kept.joblib")]
    wanted, scores = fitted.predict(X), fitted.model_.metrics
    del fitted
    gc.collect()
    for one in copies:
        np.testing.assert_array_equal(one.predict(X), wanted)
        assert one.model_.metrics == scores
        assert one.model_.history
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).predict(X), wanted)
        assert one.fit(X, y).n_outputs_ == 3


def test_nothing_of_torch_is_pickled(fitted):
    kept = pickle.dumps(fitted)
    strings = [argument for _, argument, _ in pickletools.genops(kept) if isinstance(argument, str)]
    assert any("trunkline.sklearn" in one for one in strings)
    assert not any(one.partition(".")[0] in ("torch", "polars", "pydantic") for one in strings)
    files = fitted.__getstate__()["_files"]
    assert {"config.yaml", "encoder.json", "model.safetensors"} <= set(files)
    assert all(type(content) is bytes for content in files.values())


def test_what_was_not_fitted_can_be_pickled_too(quick):
    assert (
        pickle.loads(pickle.dumps(MultiTaskClassifier(**quick))).get_params()
        == MultiTaskClassifier(**quick).get_params()
    )


def test_a_file_names_no_place_outside_its_folder(fitted, temporary):
    state = fitted.__getstate__()
    state["_files"]["../outside.txt"] = b"text"
    MultiTaskMixed.__new__(MultiTaskMixed).__setstate__(state)
    assert not (temporary / "outside.txt").exists()


def test_the_folder_goes_with_the_estimator(temporary, table, quick):
    X, y = table
    fitted = MultiTaskMixed(**{**quick, "epochs": 2}).fit(X, y)
    assert len(list(temporary.glob("trunkline-*"))) == 1
    fitted.fit(X, y)
    gc.collect()
    assert len(list(temporary.glob("trunkline-*"))) == 1
    model = fitted.model_
    del fitted
    gc.collect()
    assert model.metrics["epochs"] == 2  # a model that is kept keeps its folder
    del model
    gc.collect()
    assert list(temporary.glob("trunkline-*")) == []


def test_no_folder_stays_after_an_error(temporary, quick):
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(40, 2)), draw.normal(size=40)
    far = MultiTaskRegressor(**{**quick, "learning_rate": 1e30})
    for estimator, labels in [(far, y), (MultiTaskRegressor(tasks="lognormal", **quick), y)]:
        with pytest.raises(UserError) as told:
            estimator.fit(X, labels)
        assert list(temporary.glob("trunkline-*")) == []  # at once, though the traceback is still held
        assert "checkpoint" not in str(told.value)
        assert not hasattr(estimator, "model_")


def test_without_scikit_learn_one_sentence_says_what_to_install():
    program = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import trunkline\n"
        "try: trunkline.sklearn\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith("trunkline.sklearn needs scikit-learn 1.6 or later (")
    assert done.stdout.endswith("pip install 'trunkline[sklearn]'\n")


def test_trunkline_alone_asks_for_no_scikit_learn():
    program = "import sys, trunkline; trunkline.fit, trunkline.Model; print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"
