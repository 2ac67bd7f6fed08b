"""Loss and gradient balancing: how several losses become one update."""

from trunkline.balance.base import GramianBalancer as GramianBalancer
from trunkline.balance.base import JacobianBalancer as JacobianBalancer
from trunkline.balance.base import ObjectiveBalancer as ObjectiveBalancer
from trunkline.balance.methods import *  # noqa: F403  # a method is named there alone
