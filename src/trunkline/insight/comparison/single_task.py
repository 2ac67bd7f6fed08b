"""Single-task baselines: the same network, rates and rows for one task alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.errors import UserError
from trunkline.insight.comparison.own_rates import matched, with_rates
from trunkline.insight.comparison.variants import Variant, name_of
from trunkline.metrics import selection
from trunkline.nn.inputs import Inputs
from trunkline.preparation.data import Data
from trunkline.tables import Labels

ALONE = "alone"
_OF_SEVERAL = ("balance", "network.sharing", "tasks")
"""What a network of one task has no use for, or has as the config says."""


def alone_data(data: Data, name: str) -> Data:
    """Encoded rows with the labels of one task: those rows count that count for it beside the others.

    The task stands by itself: it reads no estimate; rows outside its `where` have no label; with a `space` it is a
    plain binary one over the entire space.
    """
    task = next(task for task in data.labels.tasks if task.name == name)
    labels = Labels(
        (replace(task, where=None, space=None, reads=()),), {k: v for k, v in data.labels.classes.items() if k == name}
    )
    stores = {part: store.of_task(name) for part, store in data.stores.items()}
    return replace(data, labels=labels, stores=stores)


def alone_config(config: Config, name: str, inputs: Inputs) -> Config:
    """The same network options and rates for one task; rates of subnets that it does not have are dropped."""
    raw = config.model_dump()
    task = raw["tasks"][name] | {"where": None, "space": None, "reads": ()}
    raw["tasks"] = {name: {key: value for key, value in task.items() if value is not None}}
    raw["balance"] = {"objective": "sum"}
    raw["network"]["sharing"] = _of_one(raw["network"]["sharing"], name, set(config.tasks))
    raw["training"]["select"] = _select(config.training.select, name, config)
    made = Config.make(raw)
    return with_rates(made, matched(made, inputs))


def alone_variants(variants: Sequence[Variant], name: str, inputs: Inputs) -> list[Variant]:
    """The baselines of one task: one for each setting of what a single-task network has too, the config's own first.

    Where rates are varied, a single-task network is given the same choice of rates: a gain of sharing must not be that
    of a better rate.
    """
    base = variants[0].config
    found: list[Variant] = []
    for variant in variants:
        overrides = {key: value for key, value in variant.overrides.items() if not key.startswith(_OF_SEVERAL)}
        made = alone_config(Config.make(base, overrides=overrides), name, inputs)
        if all(made != other.config for other in found):
            setting = f",{name_of(overrides)}" if overrides else ""
            found.append(Variant(f"{ALONE}.{name}{setting}", ALONE, overrides, made))
    return found


def _select(select: str, name: str, config: Config) -> str:
    """The score that selects an epoch, if it is one of this task; else its headline metric."""
    (task,) = build_tasks(Config.make({"tasks": {name: config.tasks[name].model_copy(update={"where": None})}}))
    try:
        selection(select, [task])
    except UserError:
        return "mean"
    return select


def _of_one(value: Any, name: str, tasks: set[str]) -> Any:
    """Options that speak of every task, for one of them."""
    if isinstance(value, Mapping):
        kept = {name: value[name]} if set(value) == tasks else value
        return {key: _of_one(one, name, tasks) for key, one in kept.items()}
    if isinstance(value, (list, tuple)):
        if value and all(isinstance(one, str) for one in value) and set(value) == tasks:
            return [name]
        return [_of_one(one, name, tasks) for one in value]
    return value
