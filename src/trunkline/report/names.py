"""Names of the runs and comparisons of a page."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def told_apart(paths: Sequence[Path]) -> list[str]:
    """Each folder's name, with as many of the folders above it as tell it from the others."""
    names = []
    for path in paths:
        others = [other.parts for other in paths if other != path]
        size = next((n for n in range(1, len(path.parts)) if all(one[-n:] != path.parts[-n:] for one in others)), 0)
        names.append("/".join(path.parts[-size:]) if size else str(path))
    return _numbered(names, " ({})")


def anchors(names: Sequence[str]) -> list[str]:
    """For each name what links to it: letters and digits, no two alike."""
    plain = ["part-" + "".join(one if one.isascii() and one.isalnum() else "-" for one in name) for name in names]
    return _numbered(plain, "--{}")


def _numbered(names: Sequence[str], form: str) -> list[str]:
    """Those that stand several times get a number, the first one apart."""
    seen, found = Counter[str](), list[str]()
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else name + form.format(seen[name]))
    return found
