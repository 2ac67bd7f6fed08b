"""`data`: where rows come from."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trunkline.config.section import Paths, Section


class SplitConfig(Section):
    """How one table is cut; see `tables.Split`."""

    by: Literal["time", "group", "random"]
    """time: the latest rows are test, those before them validation; group: all rows of a group on one side; random."""
    column: str | None = None
    """The time or the group."""
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of rows, or of groups, for validation."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of rows, or of groups, for the test."""
    seed: int = 0
    """Of the draw."""
    result: dict[str, Any] | None = None
    """Written by a run: rows of each part and where time was cut; ignored when read."""


class DataConfig(Section):
    """Where rows come from."""

    train: Paths | None = None
    """Training rows: a file, a glob or a list of them."""
    valid: Paths | None = None
    """Validation rows, likewise; they pick the best epoch."""
    test: Paths | None = None
    """Test rows, likewise; they are scored once, at the end."""
    split: SplitConfig | None = None
    """Cuts train into the parts that have no file."""
    ignore: list[str] = Field(default_factory=list)
    """Columns that are no features under `features: auto`."""
    null_values: list[str] = Field(default_factory=list)
    """Texts that mean "missing" in CSV files."""
    store: str | None = None
    """Folder of encoded rows, kept for the next run; `none` for in memory."""
