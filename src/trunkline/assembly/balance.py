"""Building the objective, the gradient method and the fork."""

from collections.abc import Sequence
from typing import TypeVar

from trunkline.balance import ObjectiveBalancer
from trunkline.balance.fork import Fork
from trunkline.balance.methods import GRADIENTS, OBJECTIVES, make_method
from trunkline.config import (
    BalanceConfig,
    Chosen,
)
from trunkline.errors import UserError
from trunkline.registry import Registry
from trunkline.tasks import Task

M = TypeVar("M")


def build_method(config: Chosen, table: Registry[M], tasks: Sequence[Task], *, parameters: int) -> M:
    """A balancer, given its options in the config and what the network knows."""
    return make_method(
        table,
        config.kind,
        config.options,
        tasks=[task.name for task in tasks],
        exponents=[task.exponent for task in tasks],
        parameters=parameters,
    )


def build_objective(config: BalanceConfig, tasks: Sequence[Task]) -> ObjectiveBalancer:
    """What merges the losses.

    Raises:
        UserError: an option out of range.
    """
    try:
        return build_method(config.objective, OBJECTIVES, tasks, parameters=0)
    except UserError as error:
        raise UserError([f"balance.objective: {problem}" for problem in error.problems]) from None


def build_fork(config: BalanceConfig, tasks: Sequence[Task], *, parameters: int) -> Fork:
    """What splits the trunk, with the method that balances gradients there, if there is one.

    Raises:
        UserError: an option out of range, or a method whose extra is not installed.
    """
    try:
        balancer = None
        if config.gradients is not None:
            balancer = build_method(config.gradients, GRADIENTS, tasks, parameters=parameters)
        return Fork(len(tasks), balancer, update_every=config.update_every)
    except UserError as error:
        raise UserError([f"balance.gradients: {problem}" for problem in error.problems]) from None
