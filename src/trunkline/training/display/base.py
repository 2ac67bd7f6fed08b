"""The base class of displays."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from trunkline.callbacks import Line
from trunkline.training.loop import Loop


class Display(ABC):
    """What is shown of a training, from its first step until the context ends."""

    @abstractmethod
    def start(self, loop: Loop) -> None:
        """Say what is about to be trained."""

    @abstractmethod
    def line(self, line: Line) -> None:
        """Show a line of the history."""

    @abstractmethod
    def close(self) -> None:
        """Leave the place as it is to stay."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
