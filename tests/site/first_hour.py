"""The commands of docs/first-hour.md, one after another in one folder, and what they print.

Run: python tests/site/first_hour.py   (writes into the page what they print now)
"""

import io
import os
import re
import runpy
import shlex
import sys
import tempfile
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

from trunkline import cli

PAGE = Path(__file__).parents[2] / "docs" / "first-hour.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
COLUMNS = "100"
"""Width of the terminal in the page."""


def blocks(text):
    """Language and text of each block of the page."""
    return [(found[1], found[2]) for found in BLOCK.finditer(text)]


def write_scripts(text):
    """Blocks that begin with `# name.py` under their names."""
    for language, block in blocks(text):
        named = re.match(r"# (\w+\.py)\n", block)
        if language == "python" and named:
            Path(named[1]).write_text(block, encoding="utf-8")


def commands(block):
    """The commands of a block, each with what the page shows below it."""
    return [(lines.partition("\n")[0], lines.partition("\n")[2]) for lines in block.split("$ ")[1:]]


def run(command, *, more=()):
    """What a command prints, on both streams as they come; `more` arguments are added to a training.

    Raises:
        RuntimeError: it ended with a status other than 0.
    """
    program, *arguments = shlex.split(command)
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), patch.dict(os.environ, COLUMNS=COLUMNS, NO_COLOR="1"):
        if program == "trunkline":
            given = [program, *arguments, *(more if arguments[0] == "train" else ())]
            with patch.object(sys, "argv", given):
                try:
                    cli.main()
                except SystemExit as ended:
                    if ended.code not in (0, None):
                        raise RuntimeError(f"{command}: status {ended.code}\n{printed.getvalue()}") from None
        elif program == "python":
            runpy.run_path(arguments[0])
        elif program in ("head", "cat"):
            lines = Path(arguments[-1]).read_text(encoding="utf-8-sig").splitlines(keepends=True)
            printed.write("".join(lines[: int(arguments[1])] if program == "head" else lines))
        else:
            return None  # pip
    return "".join(f"{line.rstrip()}\n" for line in printed.getvalue().splitlines())


def renew(text):
    """The page with what its commands print now."""

    def block(found):
        if found[1] != "console":
            return found[0]
        shown = [f"$ {command}\n{run(command) or ''}" for command, _ in commands(found[2])]
        return f"```console\n{''.join(shown)}```\n"

    return BLOCK.sub(block, text)


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_scripts(page)
        page = renew(page)
    PAGE.write_text(page, encoding="utf-8")
