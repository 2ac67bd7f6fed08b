"""From an estimator's options to a config."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from trunkline.config import Config
from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.sklearn.outputs import Output
from trunkline.sklearn.rows import features_by_dtype
from trunkline.sklearn.targets import Target, as_name
from trunkline.sklearn.training_length import epochs_for, patience_for, rows_a_step


def task_sections(tasks: Any, names: Sequence[str], targets: Sequence[Target], default: str) -> list[Mapping[str, Any]]:
    """Each output's section of `tasks`, with its kind.

    Args:
        tasks: None, a kind for all, or by output a kind or a section.
        names: of the tasks.
        targets: the outputs, whose columns' names will do as well.
        default: the kind of what `tasks` says nothing of.

    Raises:
        UserError: something else, or an output that there is not.
    """
    if tasks is None or isinstance(tasks, str):
        return [{"kind": tasks or default} for _ in names]
    if not isinstance(tasks, Mapping):
        raise UserError(f"tasks is {tasks!r}; give a kind for all outputs, or a mapping from outputs to their kinds")
    problems, given = Problems(), {as_name(str(key)): value for key, value in tasks.items()}
    for key in given:
        if key not in names:
            problems.add(f"tasks.{key}: y has no such output{did_you_mean(key, names)} (known: {', '.join(names)})")
    for name, section in given.items():
        if not isinstance(section, (str, Mapping)):
            problems.add(f"tasks.{name} is {section!r}; give a kind, or its kind and options")
    problems.raise_if_any()
    sections = (given.get(name, {}) for name in names)
    return [{"kind": one} if isinstance(one, str) else {"kind": default, **one} for one in sections]


def to_config(
    options: Mapping[str, Any],
    outputs: Sequence[Output],
    frame: pl.DataFrame,
    *,
    columns: Mapping[str, str],
    weight: str | None,
    seed: int,
) -> Config:
    """The config of a fit.

    Args:
        options: the estimator's.
        outputs: the tasks.
        frame: the features of the rows to fit.
        columns: where each task's label stands.
        weight: where the rows' weights stand, if there are any.
        seed: of everything drawn.

    Raises:
        UserError: options that make no config; all of them, in the config's words.
    """
    o, rows = options, len(frame)
    batch_size = rows_a_step(rows) if o["batch_size"] == "auto" else o["batch_size"]
    epochs = o["epochs"]
    if epochs == "auto":
        epochs = epochs_for(rows, batch_size if isinstance(batch_size, int) else rows_a_step(rows))
    patience = o["patience"]
    if patience == "auto":
        patience = patience_for(epochs) if isinstance(epochs, int) else None
    raw: dict[str, Any] = {
        "features": features_by_dtype(frame) if o["features"] == "from_dtype" else _plain(o["features"]),
        "tasks": {
            one.name: {**_plain(one.section), "label": columns[one.name], **({"weight": weight} if weight else {})}
            for one in outputs
        },
        "network": {
            "sharing": _with_hidden(_plain(o["sharing"]), _plain(o["hidden"])),
            "towers": {"hidden": _plain(o["tower_hidden"])},
            "dropout": _plain(o["dropout"]),
            "norm": o["norm"],
            "activation": o["activation"],
        },
        "balance": {"objective": _plain(o["objective"]), "gradients": _plain(o["gradients"])},
        "optimizer": {
            "lr": _plain(o["learning_rate"]),
            "weight_decay": _plain(o["weight_decay"]),
            "subnets": {
                pattern: {"lr": _plain(one)} if isinstance(one, numbers.Real) else _plain(one)
                for pattern, one in (o["subnets"] or {}).items()
            },
        },
        "training": {
            "epochs": _plain(epochs),
            "batch_size": _plain(batch_size),
            "patience": _plain(patience),
            "seed": seed,
            "device": o["device"],
        },
    }
    return Config.make(raw, overrides=o["overrides"])


def _with_hidden(sharing: Any, hidden: Any) -> Any:
    if hidden is None:
        return sharing
    return {**({"kind": sharing} if isinstance(sharing, str) else sharing), "hidden": hidden}


def _plain(value: Any) -> Any:
    """NumPy's numbers as Python's, tuples as lists: a search over a grid gives either."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value.item() if hasattr(value, "item") and not getattr(value, "shape", True) else value
