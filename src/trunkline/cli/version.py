"""`trunkline --version`."""

import typer


def show_version(asked: bool) -> None:
    """Print the version and end, if it was asked for."""
    if asked:
        from trunkline import __version__

        print(f"trunkline {__version__}")
        raise typer.Exit
