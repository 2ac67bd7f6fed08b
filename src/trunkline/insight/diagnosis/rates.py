"""The learning rate that a config gives a subnet."""

from trunkline.config import Config
from trunkline.optim.param_groups import BALANCE, BALANCE_LR, matching_patterns


def rate_of(config: Config, subnet: str) -> float:
    """As `Subnets.groups` would set it: later patterns win, and an exact name beats every pattern."""
    rate = BALANCE_LR if subnet == BALANCE else config.optimizer.lr
    own = config.optimizer.subnets
    rates = [own[pattern].lr for pattern in matching_patterns(subnet, own)]
    return next((lr for lr in reversed(rates) if lr is not None), rate)


def rate_line(subnet: str, rate: float) -> str:
    """The line of a config that sets a subnet's rate."""
    return f'optimizer.subnets: {{"{subnet}": {{lr: {rate:.1g}}}}}'
