"""Variants: a config, and every combination of values that it is varied by."""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, final

import yaml

from trunkline.assembly.checks import check_config
from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.config.yaml_file import parts_of
from trunkline.errors import Problems, UserError
from trunkline.insight.comparison.own_rates import matched, with_rates
from trunkline.nn.inputs import Inputs
from trunkline.preparation.fitting import label_facts

CONFIG = "config"
"""The name of the config itself."""
_LONGEST = 80
_CLOSES = {"[": "]", "{": "}", '"': '"', "'": "'"}


@final
@dataclass(frozen=True)
class Variant:
    """A config under a name.

    Attributes:
        name: tells it from all others, in this comparison and a later one; a folder's name.
        label: for a table, where few stand beside it.
        overrides: what it changes in the config, by dotted path.
        config: the result.
    """

    name: str
    label: str
    overrides: Mapping[str, Any]
    config: Config


def parse_vary(pairs: Iterable[str]) -> dict[str, list[Any]]:
    """`["optimizer.lr=0.01,0.003"]` -> `{"optimizer.lr": [0.01, 0.003]}`.

    Values are YAML; the commas that separate them stand outside brackets, braces and quotes.

    Raises:
        UserError: a pair without `=` or without a value, a value that is no YAML, a key that stands twice; all of them.
    """
    problems, found = Problems(), dict[str, list[Any]]()
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key or not text:
            problems.add(f"--vary {pair!r}: write KEY=A,B, for example balance.objective=sum,famo")
            continue
        if key in found:
            problems.add(f"--vary {key} stands twice; give all its values at once: --vary {key}=A,B")
        try:
            found[key] = [yaml.safe_load(value) for value in _split(text)]
        except yaml.YAMLError:
            problems.add(f"--vary {pair!r}: a value is no valid YAML")
    problems.raise_if_any()
    return found


def make_variants(config: Config, vary: Mapping[str, Sequence[Any]], inputs: Inputs | None = None) -> list[Variant]:
    """The config itself, and every combination of the values; one that equals another is left out.

    The config's rates of subnets that a variant does not have (`balance` under a plain sum) are left out of it.

    Args:
        config: what is varied.
        vary: values by dotted path.
        inputs: what networks read; None where no row is read yet, and the result is not to be trained.

    Raises:
        UserError: no value; a value that the config refuses; one that changes which rows or labels there are, so that
            results could not be compared; all of them.
    """
    problems = Problems()
    for key, values in vary.items():
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            problems.add(f"vary {key}: {values!r}; give a list of one value or more")
            continue
        for value in values:
            with problems.collect(f"{key}={shown(value)}: "):
                varied(config, {key: value}, inputs)
    problems.raise_if_any()
    found = [Variant(CONFIG, CONFIG, {}, config)]
    labels = _labels(vary)
    for values in product(*vary.values()):
        overrides = dict(zip(vary, values, strict=True))
        label = ", ".join(labels[key](value) for key, value in overrides.items())
        with problems.collect(f"{label}: "):
            made = varied(config, overrides, inputs)
            if made == config and overrides:
                found[0] = Variant(CONFIG, f"{label} ({CONFIG})", {}, config)
            elif all(made != other.config for other in found):
                found.append(Variant(name_of(overrides), label, overrides, made))
    problems.raise_if_any()
    return found


def name_of(overrides: Mapping[str, Any]) -> str:
    """A folder's name for these overrides, and for no others."""
    text = ",".join(f"{key}={shown(value)}" for key, value in overrides.items())
    plain = re.sub(r"[^\w.,=+-]+", "_", text)
    if plain == text and len(text) <= _LONGEST and text != CONFIG:
        return text
    return f"{plain[:_LONGEST]}~{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"


def shown(value: Any) -> str:
    """A value as one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()


def varied(config: Config, overrides: Mapping[str, Any], inputs: Inputs | None = None) -> Config:
    """The config with other values, of those that may be compared with it: they read the same rows and labels.

    Rates of subnets that the result does not have are left out of it, as `make_variants` does.

    Args:
        config: what is varied.
        overrides: values by dotted path.
        inputs: what networks read; None where no row is read yet, and the result is not to be trained.

    Raises:
        UserError: what the config refuses; other rows, labels or seeds.
    """
    made = Config.make(config, overrides=overrides)
    own = {pattern for key in overrides for pattern in _subnets(key, made)}
    check_config(with_rates(made, own))
    if inputs is not None:
        made = with_rates(made, own | matched(made, inputs))
    if made.training.seed != config.training.seed:
        raise UserError("seeds are given by their number (--seeds), not varied")
    if made.data != config.data or made.features != config.features:
        raise UserError("all that is compared reads the same encoded rows; data and features cannot be varied")
    if label_facts(build_tasks(made)) != label_facts(build_tasks(config)):
        raise UserError("all that is compared has the same labels; of tasks, reads, gradient and calibrate can vary")
    return made


def _subnets(key: str, config: Config) -> Sequence[str]:
    """The patterns of `optimizer.subnets` that a path speaks of."""
    parts = parts_of(key)
    if parts[:2] != ["optimizer", "subnets"]:
        return []
    return parts[2:3] or list(config.optimizer.subnets)


def _labels(vary: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """How a value of each key is told: a name by itself, anything else after as much of its key as tells keys apart."""

    def label(key: str) -> Any:
        parts = parts_of(key)
        others = [parts_of(other) for other in vary if other != key]
        size = next((n for n in range(1, len(parts)) if all(other[-n:] != parts[-n:] for other in others)), len(parts))
        return lambda value: value if isinstance(value, str) else f"{'.'.join(parts[-size:])}={shown(value)}"

    return {key: label(key) for key in vary}


def _split(text: str) -> list[str]:
    """At the commas outside brackets, braces and quotes."""
    pieces, closing = [""], list[str]()
    for character in text:
        if closing and character == closing[-1]:
            closing.pop()
        elif character in _CLOSES and not (closing and closing[-1] in "\"'"):
            closing.append(_CLOSES[character])
        if character == "," and not closing:
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces
