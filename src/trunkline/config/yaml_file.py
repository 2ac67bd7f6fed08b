"""YAML as a user writes it, and values put into it by path."""

import re
from pathlib import Path
from typing import Any

import yaml

from trunkline.errors import UserError


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a file holds.

    Raises:
        UserError: a file that cannot be read, is no YAML or holds no mapping.
    """
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError(f"config {path} does not exist; `trunkline init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"config {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"config {path} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"config {path} holds {type(raw).__name__}; it must hold keys such as data, features, tasks")
    return raw


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
