"""Reading YAML as a user writes it, and setting values by dotted path."""

import re
import shlex
from pathlib import Path
from typing import Any

import yaml

from trunkline.errors import UserError
from trunkline.tables.database import masked
from trunkline.tables.origin import kind_of
from trunkline.tables.scanners import TABLES
from trunkline.untrusted import read_text, refuse_half_characters

MOST = 1 << 22
"""Bytes of a config: tens of thousands of columns."""
DEEPEST = 32
"""Levels of a config; those that mean something are fewer than ten."""
REPEATED = 100_000
"""Values that aliases may bring beyond those that are written down."""


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key that stands twice, or is no text, is an error.

    `Yes`, `no`, `on` and the like are words, as in YAML 1.2: `positive: Yes` names one.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):  # a tag may put anything here; what is above refuses it
            seen = set[str]()
            for place, _ in node.value:
                if place.tag == "tag:yaml.org,2002:merge":
                    continue
                key = self.construct_object(place, deep=True)
                if not isinstance(key, str):
                    raise _refused(f"key {key!r} is no text; write it in quotes", place)
                if key in seen:
                    raise _refused(f"key {key!r} stands twice", node)
                seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _refused(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a file holds.

    Raises:
        UserError: a file that cannot be read, is no YAML, holds no mapping, or more than a config can mean.
    """
    try:
        missing = not path.exists()
    except (OSError, ValueError) as error:
        raise UserError(f"config {str(path)!r} cannot be read: {error}") from None
    if missing:
        raise UserError(f"config {masked(str(path))} does not exist; `trunkline init` writes one")
    if kind_of(path) in TABLES:
        name = shlex.quote(str(path))
        raise UserError(f"{path} is a table and no config; `trunkline init {name} --task LABEL` writes one to train by")
    try:
        raw = parse_yaml(read_text(path, most=MOST))
    except UserError as error:
        raise UserError(f"config {problem}" for problem in error.problems) from None
    except (yaml.YAMLError, ValueError) as error:
        _hide_urls(error)
        raise UserError(f"config {path} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"config {path} holds {type(raw).__name__}; it must hold keys such as data, features, tasks")
    return raw


def _hide_urls(error: Exception) -> None:
    """Take the lines around a fault out of its message where a URL, and in it perhaps a password, may stand in them."""
    if isinstance(error, yaml.MarkedYAMLError):
        for mark in (error.context_mark, error.problem_mark):
            if mark is not None and mark.buffer is not None and ("://" in mark.buffer or "@" in mark.buffer):
                mark.buffer = None


def parse_yaml(text: str) -> Any:
    """What YAML says.

    Raises:
        yaml.YAMLError: it is none, or has a tag that is more than data.
        ValueError: it is deeper, or its aliases stand for more, than a config can mean; a number or date that is none.
    """
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        sizes: dict[int, int] = {}
        whole = _size(node, sizes, 1)
        if whole - len(sizes) > REPEATED:
            raise ValueError(f"its aliases stand for {whole - len(sizes):,} values; write down what is meant")
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except (LookupError, AttributeError, TypeError) as error:  # of PyYAML: `!!bool x`, `!!timestamp x`
        raise ValueError(f"a tag does not suit its value ({error})") from None
    finally:
        loader.dispose()


def _size(node: yaml.Node, sizes: dict[int, int], depth: int) -> int:
    """Values in a node with those that its aliases stand for; of every node by its `id`, so that each is seen once."""
    if depth > DEEPEST:
        raise ValueError(f"it is nested more than {DEEPEST} deep, or an alias holds itself")
    if id(node) not in sizes:
        if isinstance(node, yaml.ScalarNode):
            refuse_half_characters(node.value)
            inside: list[yaml.Node] = []
        elif isinstance(node, yaml.MappingNode):
            inside = [one for pair in node.value for one in pair]
        else:
            inside = node.value
        sizes[id(node)] = 1 + sum(_size(one, sizes, depth + 1) for one in inside)
    return sizes[id(node)]


def put(raw: dict[str, Any], path: str, value: Any) -> None:
    """Set a value by its dotted path; a part that holds dots stands in double quotes.

    Raises:
        UserError: no path.
    """
    parts = parts_of(path)
    if not parts:
        raise UserError(f"--set {path!r}: give a path such as optimizer.lr")
    place = raw
    for part in parts[:-1]:
        following = place.get(part)
        if isinstance(following, str):
            following = {"kind": following}
        place[part] = dict(following) if isinstance(following, dict) else {}
        place = place[part]
    place[parts[-1]] = value


def parts_of(path: str) -> list[str]:
    """`optimizer.subnets."tower.buy".lr` -> its four parts."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', path)]
