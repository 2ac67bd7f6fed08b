"""Checks of a search space before anything is trained."""

from trunkline.assembly.checks import check_subnets
from trunkline.assembly.tasks import build_tasks
from trunkline.config import Config
from trunkline.config.yaml_file import parts_of
from trunkline.errors import Problems, UserError
from trunkline.insight.comparison.own_rates import matched
from trunkline.insight.comparison.variants import shown, varied
from trunkline.preparation.data import Data
from trunkline.tuning.space import Choice, Space


def check_space(config: Config) -> Space:
    """The space of a config whose every dimension by itself the config takes, from end to end.

    Raises:
        UserError: all that is wrong.
    """
    assert config.tune is not None
    space, problems = Space.make(config.tune.space), Problems()
    base = config.model_copy(update={"tune": None})
    for path, value in space.corners():
        with problems.collect(f"tune.space.{path}: {shown(value)}: "):
            if _pattern(path) is not None:  # of a subnet that another dimension may bring
                Config.make(base, overrides={path: value})
            else:
                varied(base, {path: value})
    problems.raise_if_any()
    return space


def check_rates(config: Config, space: Space, data: Data) -> None:
    """Find rates of subnets that neither the config's network has nor one with a choice of another dimension.

    Raises:
        UserError: all of them.
    """
    problems, inputs = Problems(), data.encoder.inputs
    base = config.model_copy(update={"tune": None})
    chosen = [(path, value) for path, value in space.corners() if isinstance(space.dimensions[path], Choice)]
    networks = [base, *(varied(base, {path: value}) for path, value in chosen)]
    for path, node in space.dimensions.items():
        pattern, value = _pattern(path), next(node.corners())
        if pattern is None or any(
            pattern in matched(Config.make(network, overrides={path: value}), inputs) for network in networks
        ):
            continue
        with problems.collect(f"tune.space.{path}: "):
            check_subnets(Config.make(base, overrides={path: value}), build_tasks(base), inputs)
            raise UserError(f"no subnet matches {pattern!r}")
    problems.raise_if_any()


def _pattern(path: str) -> str | None:
    """The pattern of subnets whose rate a path speaks of."""
    parts = parts_of(path)
    return parts[2] if parts[:2] == ["optimizer", "subnets"] and len(parts) > 2 else None
