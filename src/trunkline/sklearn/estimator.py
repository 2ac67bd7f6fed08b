"""What the estimators have in common: their options, and how they fit, estimate, score and are pickled."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import polars as pl
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from trunkline.errors import Problems, UserError
from trunkline.log_level import only_errors
from trunkline.sklearn.outputs import Output, check_names, make_output
from trunkline.sklearn.rows import feature_frame, is_frame
from trunkline.sklearn.run_files import pack, unpack
from trunkline.sklearn.scoring import score_output
from trunkline.sklearn.settings import task_sections, to_config
from trunkline.sklearn.targets import Target, as_name, read_targets, task_names
from trunkline.sklearn.training_length import validation_share
from trunkline.sklearn.unlikely_numbers import warn_of_unlikely_numbers
from trunkline.sklearn.validation_rows import validation_rows
from trunkline.sklearn.verbose import print_line
from trunkline.training.fit import fit


class MultiTaskEstimator(ABC):
    """One network for all outputs: what `MultiTaskClassifier`, `MultiTaskRegressor` and `MultiTaskMixed` share.

    Options are a config's keys, with the config's defaults where not said otherwise; docs/config.md has each.

    Args:
        tasks: by output its kind, or its kind and options (`{"dwell": {"kind": "lognormal", "where": "click"}}`), or
            one kind for all. Outputs are called as the columns of y, those of an array `y0`, `y1`, … or as `tasks`
            calls them if it has all.
        features: `from_dtype`, where the columns' types say what they are; `auto` for `trunkline init`'s reading of
            their values and names; or a mapping from columns to kinds, which leaves out the others.
        sharing: what the tasks share (`network.sharing`): a name, or a mapping with options.
        hidden: widths of the shared layers, or of each expert's; the architecture's own unless given.
        tower_hidden: widths of each task's own layers.
        dropout: share of units dropped after each hidden layer.
        norm: normalisation before each activation: `none`, `batch` or `layer`.
        activation: of every hidden layer.
        objective: what merges the losses (`balance.objective`).
        gradients: what balances the tasks' gradients (`balance.gradients`).
        learning_rate: of every subnet that has none of its own (`optimizer.lr`).
        subnets: by subnet or pattern a rate of its own, or options: `{"tower.*": 0.003, "shared": {"lr": 0.0005}}`.
        weight_decay: of the optimiser.
        epochs: passes through the rows at most; `auto` for as many as make a thousand steps, from 10 to 100.
        batch_size: rows of a step; `auto` for a 32nd of the rows, from 32 to 4096.
        validation_fraction: share of the rows kept to choose the epoch by, 0 for none; `auto` for a tenth of
            10,000 rows or more.
        patience: epochs without a better validation score before the training ends, None for never; `auto` for a tenth
            of the epochs.
        random_state: a whole number is the config's seed itself; a generator, or None for NumPy's own, gives one.
        device: `auto`, `cpu`, `cuda` or `mps`.
        verbose: whether losses and scores are printed while it trains.
        overrides: any other key of a config by its dotted path: `{"training.amp": "bf16"}`.

    Attributes:
        model_: the trained `trunkline.Model`.
        n_features_in_: columns of X.
        feature_names_in_: their names, where X was a frame whose columns have text for names.
        n_outputs_: columns of y.
        task_names_: the outputs' names.
    """

    default_kind: ClassVar[str]
    """The kind of a task that `tasks` says nothing of."""
    only_classes: ClassVar[bool | None]
    """Whether outputs are classes, or numbers; None for either."""

    def __init__(
        self,
        *,
        tasks: Any = None,
        features: Any = "from_dtype",
        sharing: Any = "shared_bottom",
        hidden: Any = None,
        tower_hidden: Any = (64,),
        dropout: float = 0.0,
        norm: str = "none",
        activation: str = "relu",
        objective: Any = "uncertainty",
        gradients: Any = "none",
        learning_rate: float = 0.001,
        subnets: Any = None,
        weight_decay: float = 0.0,
        epochs: Any = "auto",
        batch_size: Any = "auto",
        validation_fraction: Any = "auto",
        patience: Any = "auto",
        random_state: Any = None,
        device: str = "auto",
        verbose: int = 0,
        overrides: Any = None,
    ) -> None:
        self.tasks = tasks
        self.features = features
        self.sharing = sharing
        self.hidden = hidden
        self.tower_hidden = tower_hidden
        self.dropout = dropout
        self.norm = norm
        self.activation = activation
        self.objective = objective
        self.gradients = gradients
        self.learning_rate = learning_rate
        self.subnets = subnets
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.verbose = verbose
        self.overrides = overrides

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train one network for all outputs.

        Args:
            X: `[N, n_features]`: a pandas or polars frame with any columns, or an array of numbers; NaN is missing.
            y: `[N]` or `[N, n_outputs]`: an array, a frame or a series; NaN or None where a label is missing.
            sample_weight: `[N]`, 0 or above, of the rows in every output's loss.

        Raises:
            ValueError: all that is wrong with the options, or with the rows; `trunkline.UserError` is one.
            TypeError: a sparse matrix.
        """
        if y is None:
            raise ValueError(f"This {type(self).__name__} estimator requires y to be passed, but the target y is None.")
        options = self.get_params(deep=False)  # type: ignore[attr-defined]  # of scikit-learn's BaseEstimator
        frame, seed = feature_frame(self, X), _seed(self.random_state)
        targets, flat = read_targets(y)
        check_consistent_length(frame, *(target.observed for target in targets))
        outputs = self._make_outputs(targets)
        labels = {
            output.name: output.column(target).alias(_free(output.name, frame.columns))
            for output, target in zip(outputs, targets, strict=True)
        }
        rows, weight = frame.with_columns(labels.values()), None
        if sample_weight is not None:
            weight = _free("sample_weight", rows.columns)
            weights = _check_sample_weight(sample_weight, frame, dtype=np.float64, ensure_non_negative=True)
            rows = rows.with_columns(pl.Series(weight, weights))
        columns = {name: column.name for name, column in labels.items()}
        config = to_config(options, outputs, frame, columns=columns, weight=weight, seed=seed)
        share, held = validation_share(len(rows), self.validation_fraction), None
        if share:
            places = [rows[columns[one.name]].fill_null(-1).to_numpy() for one in outputs if one.classes is not None]
            held = pl.Series(validation_rows(len(rows), places, share=share, seed=seed))
        if is_frame(X) and self.features == "from_dtype":
            warn_of_unlikely_numbers(frame)
        with only_errors(wanted=not self.verbose):
            self.model_ = fit(
                config,
                train=rows if held is None else rows.filter(~held),
                valid=None if held is None else rows.filter(held),
                on_line=print_line if self.verbose else None,
                progress=False,
            )
        self._columns, self._outputs, self._flat = frame.columns, outputs, flat
        self._named = not flat and targets[0].name is not None
        self.n_outputs_ = len(outputs)
        self.task_names_ = [output.name for output in outputs]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Estimates `[N]`, or `[N, n_outputs]` where y had two dimensions.

        Classes as they were given, the most probable one of each output; numbers in their label's unit, float64. Where
        outputs are of several types that no array of numbers or of text holds, it is one of objects.

        Raises:
            ValueError: columns that differ from those in `fit`, or hold what they cannot.
        """
        estimates = self._estimates(X)
        return self._together([output.predicted(estimates) for output in self._outputs])

    def task_scores(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, float | None]:
        """Of each output the accuracy or, of numbers, R², over the rows in which its label is observed.

        A task with a `where` counts in the rows in which that one happened. None where no label is observed, or R² has
        fewer than two.

        Raises:
            ValueError: as in `predict`; other outputs than in `fit`, or in another order.
        """
        estimates = self._estimates(X)
        targets, _ = read_targets(y)
        self._check_targets(targets)
        check_consistent_length(estimates, *(target.observed for target in targets))
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, estimates, dtype=np.float64)
        by_name = dict(zip(self.task_names_, targets, strict=True))
        return {
            output.name: score_output(
                output,
                target,
                output.predicted(estimates),
                counted=self._counted(output, by_name),
                weights=weights,
            )
            for output, target in zip(self._outputs, targets, strict=True)
        }

    @abstractmethod
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Mean of `task_scores`."""

    def _mean_score(self, X: Any, y: Any, sample_weight: Any) -> float:
        found = [score for score in self.task_scores(X, y, sample_weight).values() if score is not None]
        if not found:
            raise ValueError("no output has a label in these rows; there is nothing to score")
        return float(np.mean(found))

    def _make_outputs(self, targets: list[Target]) -> list[Output]:
        keys = [as_name(str(key)) for key in self.tasks] if isinstance(self.tasks, Mapping) else []
        names = task_names(targets, keys)
        sections = task_sections(self.tasks, names, targets, self.default_kind)
        problems, outputs = Problems(), list[Output]()
        for name, target, section in zip(names, targets, sections, strict=True):
            with problems.collect():
                output = make_output(name, target, section)
                if self.only_classes is not None and self.only_classes != (output.classes is not None):
                    what = "classes" if self.only_classes else "numbers"
                    raise UserError(
                        f"tasks.{name}: kind {output.section['kind']} is none of {what}; {type(self).__name__} has "
                        f"outputs of {what} alone, MultiTaskMixed both"
                    )
                outputs.append(output)
        problems.raise_if_any()
        check_names(outputs)
        return outputs

    def _check_targets(self, targets: list[Target]) -> None:
        """Refuse labels that are not those of `fit`."""
        if len(targets) != len(self._outputs):
            raise ValueError(f"y has {len(targets)} outputs; this estimator was fitted to {len(self._outputs)}")
        names = [None if target.name is None else as_name(target.name) for target in targets]
        if self._named and None not in names and names != self.task_names_:
            raise ValueError(
                f"y has the columns {', '.join(map(str, names))}; this estimator was fitted to "
                f"{', '.join(self.task_names_)}, in this order"
            )

    def _estimates(self, X: Any) -> pl.DataFrame:
        check_is_fitted(self, "model_")
        return self.model_.estimate(feature_frame(self, X, names=self._columns))

    def _probabilities(self, X: Any) -> Any:
        estimates = self._estimates(X)
        found = [output.probabilities(estimates) for output in self._outputs]
        return found[0] if self._flat else found

    def _class_lists(self) -> Any:
        found = [output.classes for output in self._outputs]
        return found[0] if self._flat else found

    def _together(self, columns: list[np.ndarray]) -> np.ndarray:
        if self._flat:
            return columns[0]
        kinds = {column.dtype.kind for column in columns}
        moments = kinds <= set("mM") and len({column.dtype for column in columns}) == 1
        if kinds <= set("biuf") or kinds == {"U"} or moments:
            return np.column_stack(columns)
        return np.column_stack([_objects(column) for column in columns])

    def _counted(self, output: Output, targets: dict[str, Target]) -> np.ndarray | None:
        """Rows `[N]` in which the task's `where` happened; None where it has none."""
        (task,) = [task for task in self.model_.network.tasks if task.name == output.name]
        if task.where is None:
            return None
        (other,) = [one for one in self._outputs if one.name == task.where]
        target, counted = targets[task.where], np.zeros(len(targets[task.where].observed), dtype=bool)
        if other.classes is not None:
            counted[target.observed] = target.values == other.classes[1]
        return counted

    def __getstate__(self) -> dict[str, Any]:
        """What is pickled: the model as the files of its run."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        model = state.pop("model_", None)
        return state if model is None else {**state, "_files": pack(model)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read the model from those files; on another machine its device may be another."""
        state = dict(state)
        files = state.pop("_files", None)
        super().__setstate__(state)  # type: ignore[misc]  # of scikit-learn's BaseEstimator
        if files is not None:
            self.model_ = unpack(files, device="cpu" if self.device == "cpu" else "auto")


def _seed(random_state: Any) -> int:
    """A whole number is the seed itself; of generators one is drawn."""
    if isinstance(random_state, (int, np.integer)):
        if random_state < 0:
            raise UserError(f"random_state is {random_state}; a seed is 0 or above")
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def _objects(column: np.ndarray) -> np.ndarray:
    """The values as objects; NumPy's own way makes numbers of datetime64 in nanoseconds, and dates of days."""
    if column.dtype.kind not in "mM":
        return column.astype(object)
    found = np.empty(len(column), dtype=object)
    found[:] = list(column)
    return found


def _free(name: str, taken: list[str]) -> str:
    """The name, or one like it that no column has."""
    while name in taken:
        name += "_"
    return name
