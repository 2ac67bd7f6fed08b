"""`trunkline schema`."""

from os.path import exists, isdir, isfile
from pathlib import Path
from typing import Annotated

import typer

from trunkline.errors import UserError

TITLE = "trunkline's config"


def schema(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; printed by default.")] = None,
) -> None:
    """Show the JSON Schema of the config, by which an editor completes keys, explains them and marks mistakes."""
    if out is not None and not isdir(out.parent):
        raise UserError(f"{out}: folder {out.parent} does not exist; make it, or write elsewhere")
    if out is not None and isdir(out):
        raise UserError(f"{out} is a folder; name a file, such as {out / 'trunkline.schema.json'}")
    if out is not None and exists(out) and not _is_schema(out):
        raise UserError(f"{out} is there and holds something else; name another file")
    import json

    from trunkline.config.json_schema import json_schema
    from trunkline.runs.files import write_json

    found = json_schema()
    if out is None:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        write_json(out, found)
        print(f"schema: {out}")


def _is_schema(path: Path) -> bool:
    """Whether a file is an earlier schema, which a new one may replace."""
    from trunkline.untrusted import read_json

    try:
        found = read_json(path) if isfile(path) else None
    except UserError:
        return False
    return isinstance(found, dict) and found.get("title") == TITLE
