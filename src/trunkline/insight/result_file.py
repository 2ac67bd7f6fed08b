"""A JSON file that holds what a command found, read back as it was."""

import json
from pathlib import Path
from typing import NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from trunkline.errors import UserError

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
    try:
        raw = json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)
        return TypeAdapter(kind).validate_python(raw)
    except FileNotFoundError:
        raise UserError(f"{file} does not exist; trunkline {command} writes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{file} is not what trunkline {command} writes: {place}: {first['msg']}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")
