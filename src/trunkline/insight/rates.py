"""The learning rate that a config gives a subnet."""

from fnmatch import fnmatchcase

from trunkline.config import Config
from trunkline.subnets import BALANCE, BALANCE_LR


def rate_of(config: Config, subnet: str) -> float:
    """As `Subnets.groups` would set it: later patterns win, and an exact name beats every pattern."""
    rate = BALANCE_LR if subnet == BALANCE else config.optimizer.lr
    own = config.optimizer.subnets
    for pattern, section in sorted(own.items(), key=lambda item: item[0] == subnet):
        if section.lr is not None and fnmatchcase(subnet, pattern) and (subnet != BALANCE or pattern != "*"):
            rate = section.lr
    return rate


def rate_line(subnet: str, rate: float) -> str:
    """The line of a config that sets a subnet's rate."""
    return f'optimizer.subnets: {{"{subnet}": {{lr: {rate:.1g}}}}}'
