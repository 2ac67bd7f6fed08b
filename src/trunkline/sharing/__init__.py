"""What tasks share."""

from trunkline.sharing.base import Sharing
from trunkline.sharing.mmoe import MMoE
from trunkline.sharing.shared_bottom import SharedBottom

__all__ = ["MMoE", "SharedBottom", "Sharing"]
