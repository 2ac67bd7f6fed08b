"""Validation errors in the user's words."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from trunkline.errors import did_you_mean
from trunkline.tables.database import masked


def in_users_words(error: ValidationError, model: type[BaseModel], name: str) -> list[str]:
    """One sentence a problem: the place in the config, the rule, the value found and the remedy.

    Args:
        error: what the validator raised.
        model: the config's model, for the keys that are known.
        name: of the config.
    """
    sentences: list[str] = []
    for found in error.errors():
        kind, value = found["type"], found.get("input")
        place = _place(found["loc"], model)
        where = ".".join(place)
        if kind == "extra_forbidden":
            # the key is the user's own, whatever it looks like
            key, keys = str(found["loc"][-1]), sorted(_known_keys(found["loc"][:-1], model))
            inside = ".".join(_place(found["loc"][:-1], model)) or "the top level"
            sentences.append(f"unknown key {key!r} in {inside}{did_you_mean(key, keys)} (known: {', '.join(keys)})")
        elif kind == "missing":
            sentences.append(f"{where} is missing")
        elif kind == "union_tag_invalid":
            expected = [tag.strip("' ") for tag in found["ctx"]["expected_tags"].split(",")]
            got = found["ctx"]["tag"]
            sentences.append(
                f"{where}: kind {got!r} is unknown{did_you_mean(got, expected)} (known: {', '.join(expected)})"
            )
        elif kind == "union_tag_not_found":
            sentences.append(f"{where}: kind is missing")
        elif kind == "value_error":
            message = str(found["ctx"]["error"]) if "ctx" in found else found["msg"]
            # a line that is indented belongs to the one before
            lines = re.split(r"\n(?! )", message)
            sentences += [f"{where}: {line}" if where else line for line in lines]
        elif kind == "literal_error" and isinstance(value, (dict, list)) and "[" in str(found["loc"][-1]):
            continue  # the other branch of a union says what is wrong inside
        elif kind == "literal_error":
            expected = [tag.strip("' ") for tag in found["ctx"]["expected"].replace(" or ", ",").split(",")]
            hint = did_you_mean(str(value), expected)
            sentences.append(f"{where}: {value!r} is not one of {', '.join(expected)}{hint}")
        elif not any(sentence.startswith(f"{where}: ") for sentence in sentences):
            sentences.append(f"{where}: {_shown(value)}: {found['msg'][0].lower()}{found['msg'][1:]}")
    return [f"{name}: {sentence}" for sentence in dict.fromkeys(sentences)]


def _shown(value: Any) -> str:
    """A value as a message may repeat it: without passwords of databases, wherever they stand in it."""
    if isinstance(value, str):
        return repr(masked(value))
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_shown(key)}: {_shown(one)}' for key, one in value.items())}}}"
    return f"[{', '.join(map(_shown, value))}]" if isinstance(value, list) else repr(value)


def _place(loc: Sequence[str | int], model: type[BaseModel]) -> list[str]:
    """The path as the user wrote it: the validator's own marks (union branches, tags) left out."""
    return [str(part) for part, written in _walk(loc, model) if written]


def _known_keys(loc: Sequence[str | int], model: type[BaseModel]) -> set[str]:
    models: list[type[BaseModel]] = [model]
    for _, _, models in _steps(loc, model):  # noqa: B007  # only the last step's models matter
        pass
    return {key for one in models for key in one.model_fields}


def _walk(loc: Sequence[str | int], model: type[BaseModel]) -> Iterator[tuple[str | int, bool]]:
    for part, written, _ in _steps(loc, model):
        yield part, written


def _steps(loc: Sequence[str | int], model: type[BaseModel]) -> Iterator[tuple[str | int, bool, list[type[BaseModel]]]]:
    models, in_mapping = [model], False
    for part in loc:
        annotation = next((m.model_fields[part].annotation for m in models if part in m.model_fields), None)
        tagged = [m for m in models if _tag(m) == part]
        if isinstance(part, str) and annotation is not None and not in_mapping:
            models, in_mapping = _models(annotation), _is_mapping(annotation)
            yield part, True, models
        elif isinstance(part, str) and tagged and not in_mapping:
            models = tagged
            yield part, False, models
        elif isinstance(part, str) and ("[" in part or part in ("str", "int", "float")):
            yield part, False, models
        else:
            in_mapping = False
            yield part, True, models


def _tag(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return get_args(field.annotation)[0] if field is not None and get_args(field.annotation) else None


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_is_mapping(argument) for argument in get_args(annotation))
