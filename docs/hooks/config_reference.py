"""The page of all config keys, from the schema that the validated models give."""

import json
import re
from collections.abc import Iterator
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from trunkline.config.json_schema import json_schema

Schema = dict[str, Any]
INTRODUCTION = """# Config keys

Every key of the config with its type, its default and what it does, made from the models that read it. What goes with
what, and examples: [the config](../config.md). The same for an editor, which then completes keys and marks mistakes:
`trunkline schema -o trunkline.schema.json`. Where a section has only its `kind` to say, the kind alone will do.
"""

MANY = 8
"""From so many names on they stand in the guide, not in a cell."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    files.append(File.generated(config, "reference/config.md", content=page(json_schema())))
    return files


def page(schema: Schema) -> str:
    """The schema as Markdown, a section a heading."""
    return "\n".join([INTRODUCTION, *_keys("", schema, schema), ""])


def _keys(path: str, section: Schema, schema: Schema) -> Iterator[str]:
    """The table of a section's keys, then what is below it."""
    if path:
        yield _heading(path, section)
    needed = section.get("required", [])
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    below = []
    for key, value in section["properties"].items():
        place = f"{path}.{key}" if path else key
        told = value.get("description") or _section(value, schema).get("description", "")
        opens = bool(_section(value, schema) or _kinds(value, schema))
        name = f"[`{key}`](#{_anchor(place)})" if opens else f"`{key}`"
        yield f"| {name} | {_type(value, schema)} | {_default(value, key in needed)} | {_text(told)} |"
        below += [(place, value)] if opens else []
    for place, value in below:
        yield from _below(place, value, schema)


def _below(place: str, value: Schema, schema: Schema) -> Iterator[str]:
    kinds = _kinds(value, schema)
    if not kinds:
        yield from _keys(place, _section(value, schema), schema)
        return
    yield _heading(place, value)
    shared = [key for key in kinds[0]["properties"] if all(key in kind["properties"] for kind in kinds)]
    common = [key for key in shared if key != "kind"] if len(kinds) > 2 else []
    if common:
        yield "Every kind takes:\n\n| key | type | default | meaning |\n|---|---|---|---|"
        for key in common:
            option = kinds[0]["properties"][key]
            what = f"{_type(option, schema)} | {_default(option, False)} | {_text(option.get('description', ''))}"
            yield f"| `{key}` | {what} |"
        yield ""
    yield "| kind | what it is | its own keys |\n|---|---|---|"
    for kind in kinds:
        own = [
            _option(key, option, key in kind.get("required", []), schema)
            for key, option in kind["properties"].items()
            if key not in ("kind", *common)
        ]
        yield f"| `{_name(kind)}` | {_text(kind.get('description', ''))} | {'<br>'.join(own)} |"


def _option(key: str, option: Schema, needed: bool, schema: Schema) -> str:
    default = _default(option, needed)
    told = default if needed else f"default {default}"
    kind = _type(option, schema)
    return f"`{key}` ({f'{kind}; ' if kind else ''}{told}): {_text(option.get('description', ''))}"


def _forms(value: Schema, schema: Schema) -> Iterator[Schema]:
    """A value and all that may stand in its place, in a list or under a name; references are looked up."""
    if "$ref" in value:
        yield from _forms(schema["$defs"][value["$ref"].rsplit("/", 1)[1]], schema)
        return
    yield value
    for form in (*value.get("anyOf", []), value.get("additionalProperties"), value.get("items")):
        if isinstance(form, dict) and "kind" not in value.get("properties", {}):
            yield from _forms(form, schema)


def _section(value: Schema, schema: Schema) -> Schema:
    """The keys that a value opens; empty where it opens none."""
    return next((form for form in _forms(value, schema) if "properties" in form), {})


def _kinds(value: Schema, schema: Schema) -> list[Schema]:
    """What may be chosen by name, each with its options."""
    return [form for form in _forms(value, schema) if "const" in form.get("properties", {}).get("kind", {})]


def _name(kind: Schema) -> str:
    return str(kind["properties"]["kind"]["const"])


def _type(value: Schema, schema: Schema) -> str:
    """What may stand there, in words."""
    if "$ref" in value:
        return _type(schema["$defs"][value["$ref"].rsplit("/", 1)[1]], schema)
    if "properties" in value:
        return "a section"
    if "anyOf" in value and any("properties" in form for form in value["anyOf"]) and _kinds(value, schema):
        return "a kind"
    if "const" in value:
        return f"`{_plain(value['const'])}`"
    if "enum" in value and len(value["enum"]) > MANY:
        return "a name"
    if "enum" in value:
        return ", ".join(f"`{_plain(one)}`" for one in value["enum"])
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(_type(form, schema) for form in value["anyOf"]))
    if value.get("type") == "array":
        inner = value.get("items") or (value.get("prefixItems") or [{}])[0]
        return f"list of {_type(inner, schema) or 'values'}" if inner else "list"
    if value.get("type") == "object":
        inner = value.get("additionalProperties")
        return f"{_type(inner, schema)}, by name" if isinstance(inner, dict) and inner else "values by name"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "null": "`null`"}
    return words.get(value.get("type", ""), value.get("type", "")) + _bounds(value)


def _bounds(value: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return "".join(f" {sign} {value[key]}" for key, sign in signs.items() if key in value)


def _default(value: Schema, needed: bool) -> str:
    if needed:
        return "needed"
    found = value.get("default")
    if found in (None, [], {}):
        return "none"
    if isinstance(found, dict):
        return f"`{found['kind']}`" if "kind" in found else "as below"
    return f"`{_plain(found)}`"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(told: str) -> str:
    """A description in a cell: outside of code nothing of it is markup."""
    parts = re.split(r"(`[^`]*`)", " ".join(told.split()))
    free = [re.sub(r"([*_<\[\]])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts)]
    return "".join(free).replace("|", "\\|")


def _heading(path: str, value: Schema) -> str:
    return f"\n{'#' * (2 + path.count('.'))} `{path}` {{#{_anchor(path)}}}\n\n{_text(value.get('description', ''))}\n"


def _anchor(path: str) -> str:
    return path.replace(".", "-")
