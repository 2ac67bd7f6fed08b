"""The whole configuration as one validated model: all problems at once."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from trunkline.config.balance import BalanceConfig
from trunkline.config.data import DataConfig
from trunkline.config.features import AnyFeature, FeatureConfig
from trunkline.config.messages import in_users_words
from trunkline.config.network import NetworkConfig
from trunkline.config.optimizer import OptimizerConfig
from trunkline.config.section import Section, as_name
from trunkline.config.tasks import AnyTask
from trunkline.config.training import TrainingConfig
from trunkline.config.tune import TuneConfig
from trunkline.config.yaml_file import load_yaml, put
from trunkline.errors import Problems, UserError
from trunkline.tables import Feature, make_feature
from trunkline.tables.schema import check_features
from trunkline.tasks import TASK_KINDS, Binary

_OLD_PATHS = {"optimizer.rows": "optimizer.sparse_optimizer"}
"""What version 0.1 called otherwise."""


class Config(Section):
    """A whole training, as `trunkline train` reads it."""

    data: DataConfig = DataConfig()
    """Where rows come from."""
    features: Literal["auto"] | dict[str, AnyFeature] = "auto"
    """The feature columns by name, or auto for every column that is no label."""
    tasks: dict[str, AnyTask] = Field(min_length=1)
    """What is predicted, by name."""
    network: NetworkConfig = NetworkConfig()
    """The network's shape."""
    balance: BalanceConfig = BalanceConfig()
    """How several losses become one update."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """The optimiser, and each subnet's own rate."""
    training: TrainingConfig = TrainingConfig()
    """The loop."""
    tune: TuneConfig | None = None
    """What `trunkline tune` searches."""

    @field_validator("features", mode="before")
    @classmethod
    def _left_out(cls, features: Any) -> Any:
        """A feature that is null is left out: `--set features.price=null`."""
        if not isinstance(features, dict):
            return features
        return {name: feature for name, feature in features.items() if feature is not None}

    @field_validator("features")
    @classmethod
    def _some_feature(cls, features: Any) -> Any:
        if not features:
            raise ValueError("no feature: name at least one, or write 'auto'")
        if features != "auto":
            made, problems = list[Feature](), Problems()
            for name, feature in features.items():
                with problems.collect():
                    made.append(make_feature(name=name, **feature.model_dump()))
            if not problems:
                with problems.collect():
                    check_features(made)
            problems.raise_if_any()
            # What a kind decides itself (a sequence without a target has a bag's defaults) is written out.
            return {f.name: FeatureConfig(kind=f.kind, **{**features[f.name].options, **f.options}) for f in made}
        return features

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        for place in ("objective", "gradients"):
            method = getattr(self.balance, place)
            for option, value in (method.options if method else {}).items():
                if isinstance(value, dict) and option != "arguments" and set(value) != set(self.tasks):
                    problems.append(
                        f"balance.{place}.{option} names {', '.join(value) or 'nothing'}; "
                        f"it needs each task: {', '.join(self.tasks)}"
                    )
        if isinstance(self.features, dict):
            for name, task in self.tasks.items():
                if (task.label or name) in self.features:
                    problems.append(
                        f"features.{task.label or name} is the label of task {name}; a label cannot be a feature "
                        "(use reads, or drop it)"
                    )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def strata(self) -> list[str]:
        """Label columns whose values a random split spreads evenly over the parts."""
        split = self.data.split
        if split is None or split.by != "random" or split.stratify is False:
            return []
        if isinstance(split.stratify, list):
            return split.stratify
        classed = (
            task.label or name
            for name, task in self.tasks.items()
            if (kind := TASK_KINDS.find(task.kind)).leveled or issubclass(kind, Binary)
        )
        return list(dict.fromkeys(classed))

    @property
    def written_labels(self) -> list[str]:
        """Label columns whose numbers are written in a format of people's, so that they are to be read as text."""
        return [task.label or name for name, task in self.tasks.items() if task.format]

    @classmethod
    def make(
        cls, source: "Config | Mapping[str, Any] | str | Path", *, overrides: Mapping[str, Any] | None = None
    ) -> Self:
        """A config from a YAML file, a mapping or a config.

        Args:
            source: where the config is.
            overrides: values by dotted path, `{"optimizer.lr": 0.01}`; a part that holds dots stands in double quotes.

        Raises:
            UserError: a missing or malformed file, an unknown key, a wrong value; all of them.
        """
        name = "the config"
        if isinstance(source, (str, Path)):
            name, raw = str(source), load_yaml(Path(source))
        else:
            raw = source.model_dump() if isinstance(source, Config) else _named(source)
        for path, value in (overrides or {}).items():
            put(raw, _OLD_PATHS.get(path, path), value)
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise UserError(in_users_words(error, cls, name)) from None

    def to_yaml(self) -> str:
        """The whole config with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


def _named(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A program's config in which tasks and features may be called by numbers, as columns of arrays are."""
    named = {key: raw[key] for key in ("tasks", "features") if isinstance(raw.get(key), Mapping)}
    return {**raw, **{key: {as_name(name): one for name, one in inside.items()} for key, inside in named.items()}}
