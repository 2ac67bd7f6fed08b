"""Options that say how a CSV is written, of commands that read rows for a trained run."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trunkline.errors import UserError

if TYPE_CHECKING:
    from trunkline.tables.dialect import Dialect

Separator = Annotated[
    str | None, typer.Option(help="Between the fields of a CSV, or auto; as in the training's unless given.")
]
Encoding = Annotated[
    str | None, typer.Option(help="Of a CSV, such as latin-1, or auto; as in the training's unless given.")
]


def overridden(dialect: "Dialect", *, separator: str | None, encoding: str | None) -> "Dialect":
    """The run's dialect of CSV but for what is given; `auto` leaves a sign to be found in each file.

    Raises:
        UserError: signs that are not one character, an encoding that there is not; all of them.
    """
    given: dict[str, Any] = {}
    if separator is not None:
        # a shell hands over two characters where a tab is meant
        given["separator"] = {"auto": None, "\\t": "\t", "tab": "\t"}.get(separator, separator)
    if encoding is not None:
        given["encoding"] = None if encoding == "auto" else encoding
    try:
        return replace(dialect, **given) if given else dialect
    except UserError as error:
        raise UserError(problem.replace("data.", "--", 1) for problem in error.problems) from None
