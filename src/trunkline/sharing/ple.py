"""PLE: progressive layered extraction."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor, nn

from trunkline.errors import Problems, UserError
from trunkline.nn.mlp import Layers
from trunkline.sharing.base import Gates, Sharing, check_branches, check_names
from trunkline.sharing.extraction import Extraction, check_counts, specific_counts
from trunkline.sharing.gating import learning


@final
class PLE(Sharing):
    """Levels of shared experts beside each task's own, which part from level to level (Tang et al. 2020, RecSys).

    At each level task t mixes the shared experts' outputs and its own experts' with a gate over its own path,
    softmax(Wₜ xₜ), where xₜ is what its gate gave one level below, and the features at the first. The shared experts
    read the shared path, for which a gate of its own mixes the outputs of all experts, every task's too; the last
    level has none (Progressive Layered Extraction: A Novel Multi-Task Learning Model for Personalized
    Recommendations, equations 4-6). With one level it is `CGC`.

    The trunk forks before the tasks' own experts and gates of the last level, at what these read: each task's path
    and the last shared experts' outputs, which balance as one cut. Below, the shared gates let every task's gradient
    into all experts, and it arrives weighted. A gate whose mixture nothing reads, or that has one expert, is left out.

    Args:
        in_features: width of the features.
        tasks: names of the T tasks, in order.
        shared: how many experts all tasks read: one number for all levels, or one a level; 0 for none.
        specific: how many experts each task has of its own, as in `CGC`: one for all levels, or one a level.
        hidden: for each level the widths of its experts' layers.
        layers: what the experts are made of.

    Shape:
        - Input: `[N, in_features]`.
        - Output: T tensors `[N, hidden[-1][-1]]`.

    Raises:
        UserError: no task, or one that is named twice; no level; numbers for another number of levels; a task without
            an expert to read at some level; what `Experts` refuses; a fork with another number of branches.

    Examples:
        >>> sharing = PLE(5, ["click", "buy"], shared=[2, 1], specific=[1, {"click": 1, "buy": 3}], hidden=[[16], [8]])
        >>> click, buy = sharing(torch.ones(3, 5), Fork(2, PCGrad()).split)
    """

    def __init__(
        self,
        in_features: int,
        tasks: Sequence[str],
        *,
        shared: int | Sequence[int] = 4,
        specific: int | Mapping[str, int] | Sequence[int | Mapping[str, int]] = 4,
        hidden: Sequence[Sequence[int]] = ((256,), (128,)),
        layers: Layers | None = None,
    ) -> None:
        super().__init__()
        self.tasks: tuple[str, ...] = check_names(tasks)
        common, own = _counts(tasks, shared, specific, hidden)
        self.levels = nn.ModuleList()
        width = in_features
        for i, (read, read_common) in enumerate(_what_is_read(common, own)):
            level = Extraction(
                width,
                tasks,
                shared=common[i],
                specific=own[i],
                hidden=hidden[i],
                layers=layers,
                read=read,
                common=read_common,
            )
            self.levels.append(level)
            width = level.out_features
        self.in_features = in_features
        self.out_features = width

    def shared(self, x: Tensor, ids: Tensor) -> tuple[Tensor, ...]:
        """The tasks' paths `[N, width]` that the last level reads, and its shared experts' outputs if there are any."""
        paths, shared = self._entering(x)[-1]
        last = self._levels()[-1]
        outputs = [] if last.shared is None else [last.shared(shared)]
        return (*(path for path in paths[: self._width()] if path is not None), *outputs)

    def per_task(self, copies: Sequence[Sequence[Tensor]]) -> tuple[Tensor, ...]:
        """Each task's mixture at the last level, from its copies alone `[N, out_features]`."""
        check_branches(len(self.tasks), copies)
        *below, last = self._levels()
        read = [t for t in range(self._width()) if not below or below[-1].reads(t)]
        mixtures = []
        for t, copy in enumerate(copies):
            path = copy[0] if not below else copy[read.index(t)] if t in read else None
            outputs = [] if last.shared is None else [copy[-1]]
            mixtures.append(last.mixture(t, path, [*outputs, *last.outputs(t, path)]))
        return tuple(mixtures)

    def _entering(self, x: Tensor) -> list[tuple[list[Tensor | None], Tensor | None]]:
        """What the tasks' paths and the shared one carry into each level; None where nothing there reads it."""
        entering: list[tuple[list[Tensor | None], Tensor | None]] = [([x] * len(self.tasks), x)]
        for level in self._levels()[:-1]:
            entering.append(level(*entering[-1]))
        return entering

    def _levels(self) -> list[Extraction]:
        return [level for level in self.levels if isinstance(level, Extraction)]

    def _width(self) -> int:
        """How many paths may enter the last level: the features alone are one."""
        return len(self.tasks) if len(self.levels) > 1 else 1

    def parameters_by_subnet(self) -> Mapping[str, Sequence[nn.Parameter]]:
        """Shared experts and shared gates; each task's own experts, and its gates; of all levels."""
        owners: dict[str, list[nn.Parameter]] = {}
        for level in self._levels():
            for name, parameters in level.parameters_by_subnet().items():
                owners.setdefault(name, []).extend(parameters)
        return learning(owners)

    def shared_parameters(self) -> Sequence[nn.Parameter]:
        """All of the levels but the last, and the last one's shared experts."""
        *below, last = self._levels()
        shared = [] if last.shared is None else last.shared.parameters()
        return [*(parameter for level in below for parameter in level.parameters()), *shared]

    def gates(self, x: Tensor, ids: Tensor) -> Gates:
        """At each level, each path's shares of its experts: the tasks' paths, and the shared one."""
        return {
            f"level{i}.{gate}": {f"level{i}.{expert}": share for expert, share in shares.items()}
            for i, (level, carried) in enumerate(zip(self._levels(), self._entering(x), strict=True), start=1)
            for gate, shares in level.shares(*carried).items()
        }


def _counts(
    tasks: Sequence[str],
    shared: int | Sequence[int],
    specific: int | Mapping[str, int] | Sequence[int | Mapping[str, int]],
    hidden: Sequence[Sequence[int]],
) -> tuple[list[int], list[tuple[int, ...]]]:
    """At each level, how many experts are shared, and how many each task has of its own.

    Raises:
        UserError: no level; widths that are not by level; numbers for another number of levels, or that leave a task
            without an expert; all of them.
    """
    if not hidden or any(isinstance(widths, int) for widths in hidden):
        raise UserError(f"hidden {list(hidden)}: the widths of each level's experts, such as [[256], [128]]")
    levels = len(hidden)
    problems = Problems()
    for name, given in (("shared", shared), ("specific", specific)):
        if not isinstance(given, int | Mapping) and len(given) != levels:
            problems.add(
                f"{name} is for {len(given)} levels, hidden for {levels}: give one for all levels, or one each"
            )
    problems.raise_if_any()
    common = [shared] * levels if isinstance(shared, int) else list(shared)
    by_level = [specific] * levels if isinstance(specific, int | Mapping) else list(specific)
    own: list[tuple[int, ...]] = []
    for i in range(levels):
        with problems.collect(f"level {i + 1}: "):
            own.append(specific_counts(tasks, by_level[i]))
            check_counts(tasks, common[i], own[-1])
    problems.raise_if_any()
    return common, own


def _what_is_read(shared: Sequence[int], specific: Sequence[Sequence[int]]) -> list[tuple[list[bool], bool]]:
    """At each level, whether each task's mixture `[T]` and the shared path's are read by the level above.

    Experts read the path, and so does a gate with a choice; the last level's mixtures are the tasks' own.
    """
    read = [([True] * len(specific[-1]), False)]
    for common, own in zip(reversed(shared[1:]), reversed(specific[1:]), strict=True):
        tasks_above, common_above = read[0]
        tasks = [count > 0 or (above and common > 1) for count, above in zip(own, tasks_above, strict=True)]
        read.insert(0, (tasks, common > 0 or (common_above and sum(own) > 1)))
    return read
