"""Windows of the history: every step of a training is in one, the last of an epoch ends one."""

import logging

import numpy as np
import pytest
import torch

from trunkline import Config, fit
from trunkline.config import TrainingConfig
from trunkline.tables import Batch, Store
from trunkline.training.few_steps import FEWEST, FEWEST_IN_ALL, few_steps


def losses(model):
    return {line["step"]: line["losses"] for line in model.history if "losses" in line}


@pytest.mark.parametrize(("rows", "size", "every", "epochs"), [(178, 4096, 50, 3), (90, 20, 3, 2), (60, 20, 3, 2)])
def test_windows_part_the_steps_and_hold_their_mean_losses(settings, make_rows, rows, size, every, epochs):
    overrides = {"training.batch_size": size, "training.epochs": epochs}
    table = make_rows(rows)
    each, some = (
        losses(fit(settings, train=table, overrides={**overrides, "training.log_every": n})) for n in (1, every)
    )
    an_epoch = -(-rows // size)
    ends = sorted({*range(every, an_epoch * epochs + 1, every), *range(an_epoch, an_epoch * epochs + 1, an_epoch)})
    assert list(each) == list(range(1, an_epoch * epochs + 1))
    assert list(some) == ends
    for first, last in zip([0, *ends], ends, strict=False):
        for task in settings["tasks"]:
            inside = [each[step][task] for step in range(first + 1, last + 1) if each[step][task] is not None]
            assert some[last][task] == pytest.approx(np.mean(inside), rel=1e-5), (task, last)


def told(rows, size, epochs=10):
    store = Store.of(Batch(torch.zeros(rows, 0, dtype=torch.int32), torch.zeros(rows, 1), {}, {}, ()))
    return few_steps(TrainingConfig(batch_size=size, epochs=epochs), {"train": store})


@pytest.mark.parametrize("rows", [1, 19, 20, 39, 40, 178, 4096, 40_959, 40_961])
@pytest.mark.parametrize("size", [1, 2, 16, 4096])
def test_a_smaller_batch_is_proposed_where_it_gives_steps_enough(rows, size):
    said, steps = told(rows, size), -(-rows // size)
    if said is None:
        few = size > rows or (steps < FEWEST and 10 * steps < FEWEST_IN_ALL)
        assert not few or rows < 2 * FEWEST or size <= 2
        return
    proposed = int(said.rpartition("training.batch_size: ")[2].split()[0])
    assert proposed < size
    assert -(-rows // proposed) >= FEWEST or proposed == 2
    assert ("more than" in said) == (size > rows)
    assert f"{steps} step" in said


def test_it_is_said_once_a_training(settings, make_rows, caplog, tmp_path):
    with caplog.at_level(logging.WARNING):
        fit(settings, train=make_rows(178), out=tmp_path / "run", overrides={"training.batch_size": 4096})
        fit(settings, train=make_rows(178), out=tmp_path / "run", resume=True, overrides={"training.batch_size": 4096})
    said = [record.getMessage() for record in caplog.records if "batch_size" in record.getMessage()]
    assert said == [
        "training.batch_size 4,096 is more than the 178 training rows: 1 step an epoch, 2 in all; with "
        "training.batch_size: 16 there are 12 an epoch"
    ]
    assert Config.make(settings).training.batch_size == 50
