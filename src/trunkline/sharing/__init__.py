"""What tasks share."""

from trunkline.sharing.base import Sharing
from trunkline.sharing.shared_bottom import SharedBottom

__all__ = ["SharedBottom", "Sharing"]
