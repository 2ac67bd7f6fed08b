"""Sharing architectures: what tasks have in common."""

from trunkline.sharing.architectures import *  # noqa: F403  # an architecture is named there alone
from trunkline.sharing.base import Sharing as Sharing
