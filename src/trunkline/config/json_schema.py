"""The config's JSON Schema, for editors: every key, what it does, and the options of everything chosen by name."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from pydantic import PydanticUserError, TypeAdapter

from trunkline.balance.methods import GRADIENTS, OBJECTIVES
from trunkline.callbacks import CALLBACKS
from trunkline.config.root import Config
from trunkline.errors import UserError
from trunkline.metrics import METRICS
from trunkline.nn.interaction import INTERACTIONS
from trunkline.nn.numeric_embedding import NUMBERS
from trunkline.registry import Options, Registry, summary, told
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tables.columns import FEATURE_KINDS
from trunkline.tasks import TASK_KINDS
from trunkline.trackers import TRACKERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def json_schema() -> Schema:
    """The schema of what `Config.make` takes from a YAML file, draft 2020-12."""
    found = Config.model_json_schema()
    definitions: Schema = found["$defs"]
    _names_alone(found)
    balance, network = definitions["BalanceConfig"]["properties"], definitions["NetworkConfig"]["properties"]
    balance["objective"] |= _choice(OBJECTIVES, per_task=True)
    balance["gradients"] |= _choice(GRADIENTS, also=["none", None], per_task=True)
    network["sharing"] |= _choice(ARCHITECTURES, default="shared_bottom")
    network["numbers"] |= _choice(NUMBERS)
    network["interaction"] |= _choice(INTERACTIONS)
    training = definitions["TrainingConfig"]["properties"]
    training["callbacks"]["items"], training["trackers"]["items"] = _choice(CALLBACKS), _choice(TRACKERS)
    definitions["FeatureConfig"] = _choice(FEATURE_KINDS)
    for place in (*balance.values(), *network.values()):
        if "anyOf" in place:
            place.pop("$ref", None)
    task = definitions["TaskConfig"]
    common = {name: value for name, value in task["properties"].items() if name != "kind"}
    common["reads"] = {"anyOf": [{"type": "string"}, common["reads"]]} | _described(common["reads"])
    some = {"enum": [*_usable(METRICS)]}
    common["metrics"] = {"anyOf": [some, {"type": "array", "items": some}]} | _described(common["metrics"])
    definitions["TaskConfig"] = _choice(TASK_KINDS, common=common)
    definitions.pop("Chosen", None)
    return {"$schema": DIALECT, "title": "trunkline's config", **{k: v for k, v in found.items() if k != "title"}}


def _choice(
    table: Registry[Any],
    *,
    default: str | None = None,
    common: Mapping[str, Schema] | None = None,
    also: Any = (),
    per_task: bool = False,
) -> Schema:
    """A name alone, or a name with its options; `per_task` as in `chosen`.

    A name that an installed package offers and cannot give is left out.
    """
    names = list(_usable(table))
    objects = [
        {
            "type": "object",
            "description": summary(table.find(name)),
            "properties": {
                "kind": {"const": name},
                **(common or {}),
                **_options(table, name, per_task),
            },
            "required": [
                *(["kind"] if name != default else []),
                *(key for key, (_, value) in _own(table, name).items() if value is inspect.Parameter.empty),
            ],
            "additionalProperties": False,
        }
        for name in names
    ]
    return {"anyOf": [{"enum": [*names, *also]}, *objects]}


def _usable(table: Registry[Any]) -> Iterator[str]:
    """The names of a table whose classes can be had; of the others a warning says why not."""
    for name in table:
        try:
            _own(table, name)
        except UserError as error:
            logging.getLogger("trunkline").warning("left out of the schema: %s", "; ".join(error.problems))
        else:
            yield name


def _own(table: Registry[Any], name: str) -> Options:
    """The options that a user gives: not what training rows fill in."""
    options, thing = table.options(name), table.find(name)
    learned = {one.name for one in fields(thing) if "learned" in one.metadata} if table is TASK_KINDS else set()
    return {key: value for key, value in options.items() if key not in learned}


def _options(table: Registry[Any], name: str, per_task: bool) -> Schema:
    what = told(table.find(name))
    return {
        key: _option(annotation, default, per_task) | ({"description": what[key]} if key in what else {})
        for key, (annotation, default) in _own(table, name).items()
    }


def _option(annotation: Any, default: Any, per_task: bool) -> Schema:
    try:
        found = TypeAdapter(annotation).json_schema()
    except (PydanticUserError, TypeError):  # a type of torch's, which no YAML holds
        return {}
    if "$defs" in found:
        return {}
    if per_task and "array" in str(found):  # a number for each task may stand by the tasks' names
        found = {"anyOf": [found, {"type": "object", "additionalProperties": {"type": "number"}}]}
    if not isinstance(default, (bool, int, float, str, list, tuple, type(None))):
        return found
    return found | {"default": TypeAdapter(Any).dump_python(default, mode="json")}


def _described(place: Mapping[str, Any]) -> Schema:
    return {key: place[key] for key in ("description", "default") if key in place}


def _names_alone(node: Any) -> None:
    """Where a kind decides what else there is, its name alone will do as well; in place."""
    if isinstance(node, dict):
        for value in node.values():
            _names_alone(value)
        if "discriminator" in node:
            kinds = sorted(node.pop("discriminator")["mapping"])
            node["anyOf"] = [{"enum": kinds}, *node.pop("oneOf")]
    elif isinstance(node, list):
        for value in node:
            _names_alone(value)
