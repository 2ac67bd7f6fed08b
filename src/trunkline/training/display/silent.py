"""Silent display."""

from typing import final

from trunkline.callbacks import Line
from trunkline.training.display.base import Display
from trunkline.training.loop import Loop


@final
class Silent(Display):
    """Shows nothing."""

    def start(self, loop: Loop) -> None:
        """Nothing."""

    def line(self, line: Line) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""
