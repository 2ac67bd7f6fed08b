"""`data`: where rows come from."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from trunkline.config.section import Name, Paths, Section
from trunkline.errors import Problems, UserError
from trunkline.tables.database import DatabaseTable
from trunkline.tables.dialect import Dialect
from trunkline.tables.origin import databases


class SplitConfig(Section):
    """How one table is cut."""

    by: Literal["time", "group", "random"]
    """time: the latest rows are test, those before them validation; group: all rows of a group on one side; random."""
    column: Name | None = None
    """The time or the group."""
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of rows, or of groups, for validation."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of rows, or of groups, for the test."""
    seed: int = 0
    """Of the draw."""
    unit: Literal["s", "ms", "us", "ns"] | None = None
    """Of times that are numbers since 1970; numbers are ordered as they are without it."""
    format: str | None = None
    """Of times that are text, such as %d/%m/%Y; found in the rows unless given."""
    zone: str | None = None
    """Of times that name none, such as Europe/Berlin."""
    stratify: bool | list[Name] = True
    """Whether a random split spreads each value of labels with classes evenly; or the columns that it so spreads."""
    result: dict[str, Any] | None = None
    """Written by a run: rows of each part and where time was cut; ignored when read."""

    @model_validator(mode="before")
    @classmethod
    def _as_it_was_cut(cls, values: Any) -> Any:
        """A run of version 0.1 goes on with the rows that it had."""
        if isinstance(values, dict) and values.get("result") is not None and "stratify" not in values:
            return {**values, "stratify": False}
        return values


class DataConfig(Section):
    """Where rows come from."""

    train: Paths | None = None
    """Training rows: a file, a glob or a list of them; `book.xlsx#Sheet`; the URL of a database's table."""
    valid: Paths | None = None
    """Validation rows, likewise; they pick the best epoch."""
    test: Paths | None = None
    """Test rows, likewise; they are scored once, at the end."""
    split: SplitConfig | None = None
    """Cuts train into the parts that have no file."""
    ignore: list[Name] = Field(default_factory=list)
    """Columns that are no features under `features: auto`."""
    null_values: list[str] = Field(default_factory=list)
    """Texts that mean "missing" in CSV files."""
    separator: str | None = None
    """Between the fields of CSV files; found in each file unless given."""
    quote: str = '"'
    """Around fields of CSV files that hold separators."""
    encoding: str | None = None
    """Of CSV files, such as latin-1; UTF-8 unless given, or UTF-16 where a file begins with its mark."""
    content: dict[str, str] | None = None
    """Written by a run: of tables of databases what stands for the rows that were read; ignored when read."""
    store: str | None = None
    """Folder of encoded rows, kept for the next run; `none` for in memory."""

    @property
    def dialect(self) -> Dialect:
        """How CSV files are written.

        Raises:
            UserError: signs that are not one character, an encoding that there is not.
        """
        return Dialect(separator=self.separator, quote=self.quote, encoding=self.encoding)

    @model_validator(mode="after")
    def _known_databases(self) -> Self:
        problems = Problems()
        for url in (url for part in (self.train, self.valid, self.test) for url in databases(part)):
            with problems.collect():
                DatabaseTable(url)
        if problems:
            raise ValueError("\n".join(problems.found))
        return self

    @model_validator(mode="after")
    def _known_dialect(self) -> Self:
        try:
            _ = self.dialect
        except UserError as error:
            raise ValueError("\n".join(error.problems)) from None
        return self
