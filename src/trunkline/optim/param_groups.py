"""Parameter groups: the partition of all parameters into named subnets, each with a learning rate of its own."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self, final

from torch import nn

from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.optim.schedules import Constant, Schedule

BALANCE = "balance"
BALANCE_LR = 0.01
"""Learning rate of a balancer's own parameters unless told otherwise."""


@final
@dataclass(frozen=True, kw_only=True)
class GroupOptions:
    """Options of a subnet's parameter group; None leaves the default.

    Attributes:
        lr: learning rate, >= 0; 0 freezes the subnet.
        weight_decay: as the optimiser understands it, >= 0.
        schedule: how the rate moves.

    Raises:
        UserError: a negative rate or decay.
    """

    lr: float | None = None
    weight_decay: float | None = None
    schedule: Schedule | None = None

    def __post_init__(self) -> None:
        for name, value in (("lr", self.lr), ("weight_decay", self.weight_decay)):
            if value is not None and not value >= 0:
                raise UserError(f"{name} {value}: it must be 0 or above")


def matching_patterns(subnet: str, patterns: Iterable[str]) -> list[str]:
    """The patterns that speak of a subnet, the one that wins last: later ones win, and an exact name beats them all."""
    found = [p for p in patterns if fnmatchcase(subnet, p) and (subnet != BALANCE or p != "*")]
    return sorted(found, key=lambda pattern: pattern == subnet)


@final
class Subnets(Mapping[str, tuple[nn.Parameter, ...]]):
    """A total partition: every parameter of the modules in exactly one named subnet.

    Args:
        modules: the modules whose parameters are partitioned.
        owners: the parameters of each subnet.

    Raises:
        UserError: a parameter in no subnet or in two, or one that belongs to no module; all are listed.

    Examples:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> subnets = Subnets.matching(net, {"body": "0.*", "head": "2.*"})
        >>> groups = subnets.groups(lr=1e-3, overrides={"head": GroupOptions(lr=1e-2)})
        >>> [(group["name"], group["lr"]) for group in groups]
        [('body', 0.001), ('head', 0.01)]
    """

    def __init__(self, modules: Sequence[nn.Module], owners: Mapping[str, Sequence[nn.Parameter]]) -> None:
        names: dict[int, str] = {}
        for module in modules:
            for name, parameter in module.named_parameters():
                names.setdefault(id(parameter), name)
        claimed: dict[int, list[str]] = {}
        for subnet, parameters in owners.items():
            for parameter in parameters:
                claimed.setdefault(id(parameter), []).append(subnet)
        problems = Problems()
        orphans = [name for key, name in names.items() if key not in claimed]
        if orphans:
            problems.add(f"parameters in no subnet: {', '.join(orphans)}; subnets: {', '.join(owners) or 'none'}")
        for key, subnets in claimed.items():
            if len(subnets) > 1:
                problems.add(f"parameter {names.get(key, '?')} is in several subnets: {', '.join(subnets)}")
            if key not in names:
                problems.add(f"subnet {subnets[0]} holds a parameter that is in none of the modules")
        problems.raise_if_any()
        self._owners = {name: tuple(parameters) for name, parameters in owners.items()}

    @classmethod
    def matching(cls, module: nn.Module, patterns: Mapping[str, str | Sequence[str]]) -> Self:
        """Partition any module by the names of its parameters.

        Args:
            module: any `nn.Module`, single-task networks included.
            patterns: for each subnet one or several patterns with `*` and `?`, held against `named_parameters()`.

        Raises:
            UserError: a pattern that matches no parameter; a parameter in no subnet or in two.
        """
        problems = Problems()
        owners: dict[str, list[nn.Parameter]] = {}
        named = dict(module.named_parameters())
        for subnet, pattern in patterns.items():
            owners[subnet] = []
            for one in [pattern] if isinstance(pattern, str) else pattern:
                found = [parameter for name, parameter in named.items() if fnmatchcase(name, one)]
                if not found:
                    problems.add(
                        f"subnet {subnet}: pattern {one!r} matches no parameter; parameters: {', '.join(named)}"
                    )
                owners[subnet] += [p for p in found if all(p is not q for q in owners[subnet])]
        problems.raise_if_any()
        return cls([module], owners)

    def groups(
        self,
        *,
        lr: float,
        weight_decay: float = 0.0,
        schedule: Schedule | None = None,
        overrides: Mapping[str, GroupOptions] | None = None,
    ) -> list[dict[str, Any]]:
        """Parameter groups for a torch optimiser, one a subnet, named, with `base_lr` and `schedule` for `set_rates`.

        The subnet `balance` learns at `BALANCE_LR`, without decay, unless an override that names it says otherwise.

        Args:
            lr: learning rate of subnets without one of their own.
            weight_decay: likewise.
            schedule: likewise; constant by default.
            overrides: by subnet name or pattern (`tower.*`); where several match, later ones win, and an exact name
                beats every pattern.

        Raises:
            UserError: an override that matches no subnet, with the list of subnets; a negative rate or decay.
        """
        overrides = overrides or {}
        GroupOptions(lr=lr, weight_decay=weight_decay)
        problems = Problems()
        for pattern in overrides:
            if not any(fnmatchcase(name, pattern) for name in self._owners):
                problems.add(
                    f"subnet pattern {pattern!r} matches none of the subnets "
                    f"{', '.join(self._owners)}{did_you_mean(pattern, self._owners)}"
                )
        problems.raise_if_any()
        groups = []
        for name, parameters in self._owners.items():
            rate = {"lr": lr, "weight_decay": weight_decay, "schedule": schedule or Constant()}
            if name == BALANCE:
                rate |= {"lr": BALANCE_LR, "weight_decay": 0.0}
            for pattern in matching_patterns(name, overrides):
                rate |= {key: value for key, value in vars(overrides[pattern]).items() if value is not None}
            groups.append({"name": name, "params": list(parameters), "base_lr": rate["lr"], **rate})
        return groups

    def __getitem__(self, name: str) -> tuple[nn.Parameter, ...]:
        return self._owners[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._owners)

    def __len__(self) -> int:
        return len(self._owners)
