"""Result files: what a command found as JSON, read back as it was."""

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from trunkline.errors import UserError
from trunkline.untrusted import read_json

T = TypeVar("T")


def read_result(file: Path, kind: type[T], command: str) -> T:
    """What a file holds.

    Args:
        file: JSON.
        kind: a dataclass whose fields say what must be there.
        command: of trunkline, that writes such files.

    Raises:
        UserError: it is not there, or holds something else.
    """
    if not file.exists():
        raise UserError(f"{file} does not exist; trunkline {command} writes it")
    try:
        return TypeAdapter(kind).validate_python(read_json(file))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{file} is not what trunkline {command} writes: {place}: {first['msg']}") from None
