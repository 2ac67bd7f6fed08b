"""The loops under examples/ reach what they promise."""

import math
import re
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[1] / "examples"
NEEDS = {
    "digits": "sklearn",
    "lightning_module": "pytorch_lightning",
    "accelerate_loop": "accelerate",
    "gan": "torch",
}


def lightning_warns(test):
    """Lightning asks torch's pytree a question that torch has since renamed, and for workers on large machines."""
    test = pytest.mark.filterwarnings(r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated")(test)
    return pytest.mark.filterwarnings("ignore:.*does not have many workers")(test)


@pytest.fixture
def load():
    """A script of examples/loops as a module, whose seed does not reach other tests."""

    def load(name):
        if find_spec(NEEDS[name]) is None:
            pytest.skip(f"examples/loops/{name}.py needs {NEEDS[name]}, which is not installed")
        spec = spec_from_file_location(f"example_{name}", EXAMPLES / "loops" / f"{name}.py")
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    with torch.random.fork_rng(devices=[]):
        yield load


def test_every_loop_has_its_test():
    scripts = {path.stem for path in (EXAMPLES / "loops").glob("*.py")}

    assert len(scripts) >= 4
    assert scripts == NEEDS.keys()
    assert [script for script in sorted(scripts) if f"test_{script}" not in globals()] == []


def test_the_index_names_every_example():
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    folders = {path.parent.name for path in EXAMPLES.glob("*/*.yaml")}
    links = set(re.findall(r"\]\(([^)]+)\)", text))

    assert len(folders) >= 2
    assert links == folders | {f"loops/{path.name}" for path in (EXAMPLES / "loops").glob("*.py")}


def test_digits(load):
    figures = load("digits").main()

    for task in ("left", "right"):
        assert figures[f"accuracy_{task}"] > 0.9  # chance is 0.1
    assert 0 < figures["conflicts"] < 1
    assert figures["lowest_cosine"] < 0
    assert 0 < figures["lowest_weight"] < 1 < figures["highest_weight"]


@lightning_warns
def test_lightning_module(load):
    figures = load("lightning_module").main()

    assert figures["auc_click"] > 0.75
    assert figures["auc_purchase"] > 0.65
    assert figures["r2_dwell"] > 0.4
    assert figures["final_rate_of_trunk"] < 1e-6
    assert sum(figures[f"weight/{task}"] for task in ("click", "dwell", "purchase")) == pytest.approx(3)


@lightning_warns
def test_lightning_resumes_from_a_checkpoint(load, tmp_path):
    feed = load("lightning_module")
    import pytorch_lightning as pl

    def train(epochs, checkpoint=None):
        module = feed.Feed()
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = pl.Trainer(max_epochs=epochs, accelerator="cpu", enable_checkpointing=False, **quiet)
        trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=128), ckpt_path=checkpoint)
        return trainer, module

    torch.manual_seed(0)
    rows = feed.simulate(512)
    first, _ = train(1)
    first.save_checkpoint(tmp_path / "first.ckpt")
    second, module = train(2, tmp_path / "first.ckpt")

    assert (first.global_step, second.global_step) == (4, 8)
    assert int(module.network.fork.backwards) == 8


def test_accelerate_loop(load):
    figures = load("accelerate_loop").main()

    assert figures["accuracy_churn"] > 0.7  # the commoner answer is right in 0.50
    assert figures["accuracy_plan"] > 0.65  # and the commonest in 0.41
    assert figures["r2_spend"] > 0.5
    assert figures["batches"] == 2 * figures["steps"]


def test_gan(load):
    figures = load("gan").main()

    assert figures["leak_to_generator"] == 0.0
    assert figures["leak_to_discriminator"] == 0.0
    assert figures["leak_unless_stopped"] > 1e-3
    assert figures["modes"] >= 7
    assert figures["near_a_mode"] > 0.9
    for axis in "xy":
        assert math.isclose(figures[f"mean_{axis}"], 0.0, abs_tol=0.25)
        assert math.isclose(figures[f"std_{axis}"], figures["std_of_data"], abs_tol=0.15)
