"""Search space: ranges and choices by dotted path, nested where a choice has options of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, final

from trunkline.config import Config
from trunkline.config.yaml_file import parts_of
from trunkline.errors import Problems, UserError
from trunkline.insight.comparison.variants import shown

_OF_A_RANGE = {"low", "high", "log", "step"}
_PLAIN = (str, int, float, bool, type(None))
"""What Optuna keeps as it is; anything else is kept as a line of YAML."""


class Suggest(Protocol):
    """An `optuna.Trial`, as far as a space needs it."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number of low, …, high."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from low to high."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""


@final
@dataclass(frozen=True)
class Range:
    """Numbers from low to high.

    Attributes:
        low: the least.
        high: the greatest.
        log: whether factors count alike, not differences.
        step: between two numbers; None for any number, and for every whole one.
        whole: whether they are whole numbers.
    """

    low: float
    high: float
    log: bool
    step: float | None
    whole: bool

    def suggest(self, name: str, trial: Suggest) -> float:
        """One of them."""
        if self.whole:
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(name, int(self.low), int(self.high), step=step, log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def corners(self) -> Iterator[Any]:
        """Its ends."""
        yield from (int(self.low), int(self.high)) if self.whole else (self.low, self.high)

    def holds(self, value: Any) -> bool:
        """Whether a value is one of them."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else (int, float)):
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-9


@final
@dataclass(frozen=True)
class Choice:
    """Some values, each with a name.

    Attributes:
        options: by name.
    """

    options: Mapping[Any, "Node"]

    def suggest(self, name: str, trial: Suggest) -> Any:
        """One of them, with whatever is to be chosen inside it."""
        chosen = trial.suggest_categorical(name, list(self.options))
        return self.options[chosen].suggest(f"{name}={_short(chosen, self.options)}", trial)

    def corners(self) -> Iterator[Any]:
        """Every option, with the corners of what is inside."""
        for option in self.options.values():
            yield from option.corners()


@final
@dataclass(frozen=True)
class Options:
    """A mapping with something to choose inside.

    Attributes:
        values: by key.
    """

    values: Mapping[str, "Node"]

    def suggest(self, name: str, trial: Suggest) -> dict[str, Any]:
        """The mapping, chosen."""
        return {key: value.suggest(f"{name}.{key}", trial) for key, value in self.values.items()}

    def corners(self) -> Iterator[Any]:
        """The mapping, with all first and all last corners."""
        every = {key: list(value.corners()) for key, value in self.values.items()}
        yield {key: values[0] for key, values in every.items()}
        yield {key: values[-1] for key, values in every.items()}


@final
@dataclass(frozen=True)
class Fixed:
    """A value.

    Attributes:
        value: the value.
    """

    value: Any

    def suggest(self, name: str, trial: Suggest) -> Any:
        """The value."""
        return self.value

    def corners(self) -> Iterator[Any]:
        """The value."""
        yield self.value


Node = Range | Choice | Options | Fixed


@final
@dataclass(frozen=True)
class Space:
    """Search space.

    Attributes:
        dimensions: by dotted path.
    """

    dimensions: Mapping[str, Range | Choice]

    @classmethod
    def make(cls, raw: Mapping[str, Any]) -> Self:
        """A space as YAML has it: `{path: [a, b]}`, `{path: {choose: [a, b]}}`, `{path: {low, high, log, step}}`.

        Raises:
            UserError: all that is wrong with it.
        """
        problems, dimensions = Problems(), dict[str, Range | Choice]()
        for path, value in raw.items():
            with problems.collect(f"tune.space.{path}: "):
                node = _node({"choose": value} if isinstance(value, list) else value)
                if not isinstance(node, (Range, Choice)):
                    raise UserError(f"{value!r}: give a list of choices, or {{low: …, high: …}}")
                dimensions[path] = node
        problems.raise_if_any()
        return cls(dimensions)

    def suggest(self, trial: Suggest) -> dict[str, Any]:
        """A point of the space: values by dotted path."""
        return {path: node.suggest(path, trial) for path, node in self.dimensions.items()}

    def corners(self) -> Iterator[tuple[str, Any]]:
        """Of each dimension by itself the values that tell whether all are possible."""
        for path, node in self.dimensions.items():
            for value in node.corners():
                yield path, value

    def point_of(self, config: Config) -> dict[str, Any] | None:
        """The parameters of a config that lies in the space; None where it does not, or where one cannot tell."""
        raw, point = config.model_dump(mode="json"), dict[str, Any]()
        for path, node in self.dimensions.items():
            if isinstance(node, Range):
                value = _at(raw, path)
                if not node.holds(value):
                    return None
                point[path] = value
            else:
                plain = {name: one.value for name, one in node.options.items() if isinstance(one, Fixed)}
                same = [name for name, value in plain.items() if _same(config, path, value)]
                if not same:
                    return None
                point[path] = same[0]
        return point


def _node(raw: Any) -> Node:
    if not isinstance(raw, dict):
        return Fixed(raw)
    if "choose" in raw:
        values = raw["choose"]
        if len(raw) > 1 or not isinstance(values, list) or not values:
            raise UserError(f"{raw!r}: `choose` stands alone, with a list of one value or more")
        plain = all(isinstance(value, _PLAIN) for value in values)
        options = {value if plain else shown(value): _node(value) for value in values}
        if len(options) < len(values):
            raise UserError(f"{raw['choose']!r}: a choice stands twice")
        return Choice(options)
    if {"low", "high"} & set(raw):
        return _range(raw)
    values = {key: _node(value) for key, value in raw.items()}
    return Fixed(raw) if all(isinstance(value, Fixed) for value in values.values()) else Options(values)


def _range(raw: Mapping[str, Any]) -> Range:
    if unknown := set(raw) - _OF_A_RANGE:
        raise UserError(f"unknown key {sorted(unknown)[0]!r} in a range (known: low, high, log, step)")
    if missing := {"low", "high"} - set(raw):
        raise UserError(f"{', '.join(sorted(missing))} is missing; a range has low and high")
    numbers = {key: _number(key, raw[key]) for key in ("low", "high", "step") if raw.get(key) is not None}
    low, high, step, log = numbers["low"], numbers["high"], numbers.get("step"), raw.get("log", False)
    if not isinstance(log, bool):
        raise UserError(f"log: {log!r} is neither true nor false")
    if not low < high:
        raise UserError(f"low {low:g} is not below high {high:g}")
    if log and low <= 0:
        raise UserError(f"low is {low:g}; with log: true it is above 0")
    if step is not None and (log or not 0 < step <= high - low):
        raise UserError("step stands without log: true" if log else f"step {step:g} does not fit between low and high")
    return Range(low, high, log, step, all(isinstance(number, int) for number in numbers.values()))


def _number(key: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        number = value if isinstance(value, int) else float(value)  # YAML reads 1e-4 as text
    except (TypeError, ValueError):
        raise UserError(f"{key}: {value!r} is no number") from None
    if not abs(number) < float("inf"):
        raise UserError(f"{key}: {value!r} is no finite number")
    return number


def _short(chosen: Any, options: Mapping[Any, Node]) -> str:
    """What tells an option from the others, in the names of what is chosen inside it."""
    kinds = {
        key: kind.value
        for key, node in options.items()
        if isinstance(node, Options) and isinstance(kind := node.values.get("kind"), Fixed)
    }
    if chosen in kinds and list(kinds.values()).count(kinds[chosen]) == 1:
        return str(kinds[chosen])
    return str(list(options).index(chosen))


def _at(raw: Any, path: str) -> Any:

    for part in parts_of(path):
        raw = raw.get(part) if isinstance(raw, dict) else None
    return raw


def _same(config: Config, path: str, value: Any) -> bool:
    try:
        return Config.make(config, overrides={path: value}) == config
    except UserError:
        return False
