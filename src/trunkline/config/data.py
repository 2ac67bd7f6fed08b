"""Where rows come from."""

from typing import Annotated, Any, Literal

from pydantic import Field

from trunkline.config.section import Paths, Section


class SplitConfig(Section):
    """How one table is cut; see `tables.Split`."""

    by: Literal["time", "group", "random"]
    column: str | None = None
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = 0
    result: dict[str, Any] | None = None
    """Written by a run: rows of each part and where time was cut; ignored when read."""


class DataConfig(Section):
    """Where rows come from."""

    train: Paths | None = None
    valid: Paths | None = None
    test: Paths | None = None
    split: SplitConfig | None = None
    ignore: list[str] = Field(default_factory=list)
    """Columns that are no features under `features: auto`."""
    null_values: list[str] = Field(default_factory=list)
    """Texts that mean "missing" in CSV files."""
    store: str | None = None
    """Folder of encoded rows, kept for the next run; `none` for in memory."""
