"""Deprecated names of version 0.1: they work for one version more, and say where they are now."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, final

ROOT = "trunkline"

MODULES = {
    "apart": "nn.per_task_embedding",
    "attention": "nn.target_attention",
    "balance.across": "balance.distributed",
    "balance.aligned": "balance.gradients.aligned",
    "balance.cagrad": "balance.gradients.cagrad",
    "balance.clamp": "balance.objectives.log_scale_clamp",
    "balance.conflict_free": "balance.gradients.conflict_free",
    "balance.cosines": "balance.solvers.cosines",
    "balance.db_mtl": "balance.gradients.db_mtl",
    "balance.dualproj": "balance.gradients.dualproj",
    "balance.dwa": "balance.objectives.dwa",
    "balance.equal": "balance.gradients.equal",
    "balance.excess_mtl": "balance.gradients.excess_mtl",
    "balance.fairgrad": "balance.gradients.fairgrad",
    "balance.famo": "balance.objectives.famo",
    "balance.fixed": "balance.objectives.fixed",
    "balance.from_torchjd": "balance.gradients.from_torchjd",
    "balance.geometric": "balance.objectives.geometric",
    "balance.graddrop": "balance.gradients.graddrop",
    "balance.gradnorm": "balance.objectives.gradnorm",
    "balance.gradvac": "balance.gradients.gradvac",
    "balance.imtl_g": "balance.gradients.imtl_g",
    "balance.imtl_l": "balance.objectives.imtl_l",
    "balance.mgda": "balance.gradients.mgda",
    "balance.moco": "balance.gradients.moco",
    "balance.nash": "balance.gradients.nash",
    "balance.nonnegative": "balance.objectives.lower_bound",
    "balance.orders": "balance.gradients.task_orders",
    "balance.own_adam": "balance.objectives.buffer_adam",
    "balance.pcgrad": "balance.gradients.pcgrad",
    "balance.revised_uncertainty": "balance.objectives.revised_uncertainty",
    "balance.rlw": "balance.objectives.rlw",
    "balance.solve_equal_projections": "balance.solvers.equal_projections",
    "balance.solve_fair_point": "balance.solvers.fair_point",
    "balance.solve_nonnegative_qp": "balance.solvers.nonnegative_qp",
    "balance.start": "balance.objectives.log_scale_init",
    "balance.stch": "balance.objectives.stch",
    "balance.sum": "balance.objectives.sum",
    "balance.uncertainty": "balance.objectives.uncertainty",
    "balance.upgrad": "balance.gradients.upgrad",
    "balance.uw_so": "balance.objectives.uw_so",
    "choices": "registry",
    "config.in_users_words": "config.messages",
    "config.whole": "config.root",
    "cotangents": "balance.gramian",
    "embedding": "nn.embedding",
    "exact": "balance.parameter_fork",
    "foreign": "untrusted",
    "fork": "balance.fork",
    "inputs": "nn.inputs",
    "insight.alone": "insight.comparison.single_task",
    "insight.analysis": "insight.comparison.analysis",
    "insight.bootstrap": "insight.statistics.bootstrap",
    "insight.compare": "insight.comparison.compare",
    "insight.diagnose": "insight.diagnosis.diagnose",
    "insight.drops": "insight.importance.score_drops",
    "insight.findings": "insight.diagnosis.findings",
    "insight.intervals": "insight.statistics.intervals",
    "insight.jackknife": "insight.statistics.jackknife",
    "insight.job_worker": "insight.comparison.job_worker",
    "insight.jobs": "insight.comparison.jobs",
    "insight.joint_folder": "insight.comparison.shared_folder",
    "insight.lr_curve": "insight.lr_range.curve",
    "insight.lr_plot": "insight.lr_range.plot",
    "insight.markdown": "insight.comparison.markdown",
    "insight.measures": "insight.diagnosis.measures",
    "insight.observe": "insight.diagnosis.observe",
    "insight.own_rates": "insight.comparison.own_rates",
    "insight.permuted": "insight.importance.permutation",
    "insight.plan": "insight.comparison.plan",
    "insight.pool": "insight.parallel.pool",
    "insight.predictions": "insight.statistics.predictions",
    "insight.rates": "insight.diagnosis.rates",
    "insight.result": "insight.comparison.result",
    "insight.rows": "insight.comparison.shared_data",
    "insight.run_rows": "insight.importance.run_rows",
    "insight.student_t": "insight.statistics.student_t",
    "insight.sweeps": "insight.lr_range.sweeps",
    "insight.trees": "insight.comparison.gbdt",
    "insight.trial": "insight.short_run",
    "insight.variants": "insight.comparison.variants",
    "insight.verdict": "insight.statistics.verdict",
    "insight.weighted": "insight.statistics.weighted",
    "insight.worker": "insight.parallel.worker",
    "interaction": "nn.interaction",
    "large_pages": "nn.huge_pages",
    "lookup": "nn.embedding_ops",
    "meeting": "balance.row_alignment",
    "mlp": "nn.mlp",
    "numbers": "nn.numeric_embedding",
    "report.kept": "report.run_schema",
    "report.sheet": "report.figures",
    "rowwise": "optim.rowwise",
    "schedules": "optim.schedules",
    "sharing.places": "sharing.feature_slice",
    "subnets": "optim.param_groups",
    "training.build": "assembly",
    "training.calibration": "inference.calibration",
    "training.curves": "inference.curves",
    "training.data": "preparation.data",
    "training.encode_pass": "preparation.encoding",
    "training.evaluate": "inference.evaluate",
    "training.files": "runs.files",
    "training.fit_pass": "preparation.fitting",
    "training.fitted": "runs.artifacts",
    "training.frames": "tables.frames",
    "training.gating": "inference.gating",
    "training.history": "runs.history",
    "training.memory": "assembly.memory",
    "training.metrics": "metrics",
    "training.model": "inference.model",
    "training.noise": "inference.residual_scale",
    "training.parts": "preparation.partition",
    "training.sink": "inference.sink",
    "training.stores": "preparation.store_folder",
    "training.trackers": "trackers",
    "training.trackers.tracking": "training.tracking",
    "training.watch": "training.loss_meter",
    "tuning.turn": "tuning.trial",
    "tuning.turn_worker": "tuning.trial_worker",
}
"""Old place of a module, below `trunkline`: its new one. What lay in a folder moved with it."""

NAMES: Mapping[str, Mapping[str, str]] = {
    "assembly": {
        "build_tasks": "assembly.tasks.build_tasks",
        "build_features": "assembly.tasks.build_features",
        "build_network": "assembly.network.build_network",
        "build_embedding": "assembly.network.build_embedding",
        "build_method": "assembly.balance.build_method",
        "build_objective": "assembly.balance.build_objective",
        "build_fork": "assembly.balance.build_fork",
        "build_optimizers": "assembly.optimizers.build_optimizers",
        "build_schedule": "assembly.optimizers.build_schedule",
        "pick_device": "assembly.device.pick_device",
        "check_config": "assembly.checks.check_config",
        "check_subnets": "assembly.checks.check_subnets",
        "least_network": "assembly.checks.least_network",
    },
    "balance.distributed": {"at_mean": "with_group_mean"},
    "balance.objectives.buffer_adam": {"OwnAdam": "BufferAdam"},
    "balance.objectives.log_scale_init": {"FirstLoss": "LogScaleInit"},
    "balance.objectives.lower_bound": {"refuse_below": "check_lower_bound"},
    "balance.parameter_fork": {"fork_exactly": "fork_at_parameters"},
    "balance.row_alignment": {"Meeting": "RowAlignment"},
    "insight.importance.score_drops": {"Drops": "ScoreDrops"},
    "insight.short_run": {"Trial": "ShortRun"},
    "nn.embedding": {"Found": "LookupPlan"},
    "nn.huge_pages": {"hint_large_pages": "hint_huge_pages"},
    "nn.inputs": {"Place": "FeatureSlice"},
    "nn.numeric_embedding": {"Numbers": "NumericEmbedding"},
    "nn.per_task_embedding": {"Apart": "PerTaskEmbedding"},
    "nn.target_attention": {"Attention": "TargetAttention"},
    "optim.param_groups": {"Rate": "GroupOptions", "overriding": "matching_patterns"},
    "preparation.partition": {"Part": "Partition", "Cut": "SplitTable"},
    "registry": {"Choices": "Registry"},
    "report.figures": {"Sheet": "Figures"},
    "report.run_schema": {"check_kept": "check_run_files"},
    "runs.files": {
        "RunFolder": "runs.folder.RunFolder",
        "TemporaryFolder": "runs.folder.TemporaryFolder",
        "write_tensors": "runs.tensors.write_tensors",
        "read_tensors": "runs.tensors.read_tensors",
        "load_into": "runs.tensors.load_into",
    },
    "sharing.feature_slice": {"find_place": "feature_slice"},
    "trackers": {
        "Tracking": "training.tracking.Tracking",
        "check_trackers": "training.tracking.check_trackers",
    },
    "training.loss_meter": {"Watch": "LossMeter"},
}
"""New place of a module: old name in it: new name, with its module where that is another one."""


def tell(old: str, new: str) -> None:
    """Warn that a name has moved.

    Args:
        old: as it was asked for.
        new: where it is.
    """
    warnings.warn(f"{old} is now {new}; the old name goes with the next version", DeprecationWarning, stacklevel=3)


@final
class Moved(ModuleType):
    """What stands at a module's old place; whatever is asked of it comes from the new one."""

    def __init__(self, old: str, new: str) -> None:
        super().__init__(old)
        self.__path__: list[str] = []  # what lay below is looked for here as well
        self._new = new

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module, _, now = NAMES.get(self._new.removeprefix(f"{ROOT}."), {}).get(name, name).rpartition(".")
        return getattr(import_module(f"{ROOT}.{module}" if module else self._new), now)


@final
class MovedFinder(MetaPathFinder, Loader):
    """Finds modules at their old places; it is asked for what nobody else has found, so it costs nothing else."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a module that has moved; None for any other."""
        new = new_place(fullname)
        try:
            there = new is not None and find_spec(new) is not None
        except ModuleNotFoundError:
            there = False
        return ModuleSpec(fullname, self, is_package=True) if there else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """What stands for the module, with a warning."""
        new = new_place(spec.name)
        assert new is not None
        if spec.name.removeprefix(f"{ROOT}.") in MODULES:  # what lay below was told of with its folder
            tell(spec.name, new)
        return Moved(spec.name, new)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is run: the new module is loaded when something is asked of it."""


def new_place(fullname: str) -> str | None:
    """Where a module is that lay at `fullname`, or below a folder that has moved; None if it has not."""
    root, _, rest = fullname.partition(".")
    if root != ROOT:
        return None
    below: list[str] = []
    while rest:
        if rest in MODULES:
            return ".".join([ROOT, MODULES[rest], *reversed(below)])
        rest, _, last = rest.rpartition(".")
        below.append(last)
    return None


def install() -> None:
    """Let the old places be found; once is enough."""
    if not any(isinstance(finder, MovedFinder) for finder in sys.meta_path):
        sys.meta_path.append(MovedFinder())
