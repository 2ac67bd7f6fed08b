import numpy as np
import optuna
import pytest

from trunkline.tuning.pruning import ENOUGH, behind


def as_told(values):
    return {str(epoch): [float(x) for x in np.atleast_1d(row)] for epoch, row in enumerate(values)}


@pytest.mark.parametrize("seed", range(20))
def test_with_one_objective_it_is_the_median_rule_of_optuna(seed):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    draw, epochs = np.random.default_rng(seed), 4
    curves = np.maximum.accumulate(draw.normal(size=(int(draw.integers(3, 12)), epochs)), axis=1)
    mine = np.maximum.accumulate(draw.normal(size=epochs))
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=ENOUGH, n_warmup_steps=0)
    )
    for curve in curves:
        study.add_trial(optuna.trial.create_trial(value=curve[-1], intermediate_values=dict(enumerate(curve.tolist()))))
    trial = study.ask()
    for epoch, value in enumerate(mine.tolist()):
        trial.report(value, epoch)
        assert behind(as_told(mine[: epoch + 1]), [as_told(c) for c in curves], epoch) == trial.should_prune()


def test_a_trial_that_is_good_for_any_objective_is_kept():
    others = [as_told([[i, i]]) for i in range(ENOUGH)]
    assert behind(as_told([[1, 1]]), others, 0)
    assert not behind(as_told([[1, 3]]), others, 0)
    assert not behind(as_told([[3, 1]]), others, 0)
    assert not behind(as_told([[2, 2]]), others, 0)


def test_trials_that_ended_before_count_with_their_last_epoch_and_few_are_not_enough():
    others = [as_told([1.0, 3.0]) for _ in range(ENOUGH)]
    assert behind(as_told([0.0, 0.0, 2.0]), others, 2)
    assert not behind(as_told([0.0, 0.0, 3.0]), others, 2)
    assert not behind(as_told([0.0, 0.0, 2.0]), others[1:], 2)
