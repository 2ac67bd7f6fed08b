"""The page of all commands, from the command line itself."""

import re

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from trunkline.cli import app


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "reference/commands.md", content=page()))
    return files


def page() -> str:
    """What `--help` says of every command, as Markdown."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="trunkline", title="Commands")
    listed = re.compile(r"^\* `[a-z][\w-]*`: .*\n", re.MULTILINE)  # cut short there; in full below
    head, *commands = re.split(r"(?=^## )", text, flags=re.MULTILINE)
    return "".join([listed.sub("", head).replace("**Commands**:", ""), *commands])
