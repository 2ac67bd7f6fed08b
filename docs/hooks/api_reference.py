"""The pages of the Python API: every public name stands on one of them, with its docstring."""

from importlib import import_module
from inspect import ismodule

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import trunkline

PAGES = {
    "training": (
        "Training and models",
        "From a table to a model and its estimates. Guide: [from Python](../python.md).",
        ("training", "inference", "config", "errors"),
    ),
    "insight": (
        "Insight and tuning",
        "What a training is worth and what would change it. Guides: [insight](../insight.md), [tuning](../tuning.md).",
        ("insight", "tuning"),
    ),
    "parts": (
        "Parts for your own loop",
        "They need torch alone. Guide: [from Python](../python.md#every-part-in-a-loop-of-your-own).",
        (),
    ),
}
"""By page: title, first words, and the rooms whose names stand there; the last one takes every other room."""

ROOMS = {
    "tasks": ("Tasks", "What a label is like. Guide: [likelihoods](../likelihoods.md)."),
    "sharing": ("Sharing", "What tasks have in common. Guide: [sharing](../sharing.md)."),
    "balance": ("Balance", "How several losses become one update. Guide: [balancing](../balancing.md)."),
    "sklearn": ("scikit-learn", "Estimators for pipelines and searches. Guide: [scikit-learn](../scikit-learn.md)."),
    "callbacks": ("Callbacks", "What is told of a training. Guide: [callbacks](../callbacks.md)."),
}
"""Packages with public names of their own."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages."""
    for name, content in pages().items():
        files.append(File.generated(config, f"reference/api-{name}.md", content=content))
    return files


def pages() -> dict[str, str]:
    """Each page's Markdown by its name."""
    made = {}
    for page, (title, words, _) in PAGES.items():
        names = [name for name in trunkline.__all__ if name not in ROOMS and _page(name) == page]
        made[page] = _page_of(title, words, [f"trunkline.{name}" for name in names])
    for room, (title, words) in ROOMS.items():
        made[room] = _page_of(title, words, [f"trunkline.{room}.{name}" for name in _public(room)])
    return made


def _page(name: str) -> str:
    room = getattr(trunkline, name).__module__.split(".")[1]
    return next((page for page, (_, _, rooms) in PAGES.items() if room in rooms), [*PAGES][-1])


def _public(room: str) -> list[str]:
    """What a package offers: no module of it, nothing of another package's."""
    package = import_module(f"trunkline.{room}")
    names = getattr(package, "__all__", [name for name in vars(package) if not name.startswith("_")])
    things = {name: getattr(package, name) for name in names}
    return [name for name, thing in things.items() if not ismodule(thing)]


def _page_of(title: str, words: str, names: list[str]) -> str:
    return "\n\n".join([f"# {title}", words, *(f"::: {name}" for name in sorted(names, key=_order)), ""])


def _order(path: str) -> tuple[bool, str]:
    """Functions first, then classes and tables of choices."""
    name = path.rpartition(".")[2]
    return not name.islower(), name.lower()
