"""The YAML, as validated models: what a user writes is checked here, all problems at once."""

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from trunkline.balance.methods import GRADIENTS, OBJECTIVES, Method, find_method, options
from trunkline.config_errors import in_users_words
from trunkline.errors import Problems, UserError, did_you_mean
from trunkline.mlp import Norm
from trunkline.sharing.mmoe import EXPERTS, HIDDEN
from trunkline.tables.schema import DIM, LENGTH, MOST_ROWS, Feature, check_features

Positive = Annotated[int, Field(ge=1)]
Rows = Annotated[int, Field(ge=1, le=MOST_ROWS)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Paths = str | list[str]


def _kind_alone(value: Any) -> Any:
    """`uncertainty` is short for `{kind: uncertainty}`."""
    return {"kind": value} if isinstance(value, str) else value


class Section(BaseModel):
    """A part of the config; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_serializer(mode="wrap")
    def _readable(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Kind first; a null only where it differs from the default."""
        fields = type(self).model_fields
        values = {
            k: v for k, v in handler(self).items() if v is not None or k not in fields or fields[k].default is not None
        }
        return ({"kind": values["kind"]} if "kind" in values else {}) | values


class SplitConfig(Section):
    """How one table is cut; see `tables.Split`."""

    by: Literal["time", "group", "random"]
    column: str | None = None
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.1
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    seed: int = 0
    result: dict[str, Any] | None = None
    """Written by a run: rows of each part and where time was cut; ignored when read."""


class DataConfig(Section):
    """Where rows come from."""

    train: Paths | None = None
    valid: Paths | None = None
    test: Paths | None = None
    split: SplitConfig | None = None
    ignore: list[str] = []
    """Columns that are no features under `features: auto`."""
    null_values: list[str] = []
    """Texts that mean "missing" in CSV files."""
    store: str | None = None
    """Folder of encoded rows, kept for the next run; `none` for in memory."""


class CategoricalConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["categorical"]
    dim: Positive = DIM
    min_count: Positive = 1


class HashedConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["hashed"]
    rows: Rows
    dim: Positive = DIM


class BagConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["bag"]
    pool: Literal["mean", "sum"] = "mean"
    dim: Positive = DIM
    min_count: Positive = 1
    rows: Rows | None = None


class SequenceConfig(Section):
    """See `tables.Feature`; with a target, `dim`, `rows` and `min_count` are the target's."""

    kind: Literal["sequence"]
    length: Positive = LENGTH
    pool: Literal["mean", "attention"] = "mean"
    target: str | None = None
    dim: Positive | None = None
    min_count: Positive | None = None
    rows: Rows | None = None

    @model_validator(mode="before")
    @classmethod
    def _own_table(cls, values: Any) -> Any:
        """Without a target the defaults are a bag's."""
        if not isinstance(values, dict) or values.get("target") is not None:
            return values
        own = {"dim": DIM, "min_count": 1}
        return values | {name: default for name, default in own.items() if values.get(name) is None}


class NumericConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["numeric"]
    log: bool = False


class VectorConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["vector"]
    length: Positive | None = None


class BooleanConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["boolean"]


class DatetimeConfig(Section):
    """See `tables.Feature`."""

    kind: Literal["datetime"]


FeatureConfig = Annotated[
    Annotated[
        CategoricalConfig
        | HashedConfig
        | BagConfig
        | SequenceConfig
        | NumericConfig
        | VectorConfig
        | BooleanConfig
        | DatetimeConfig,
        Field(discriminator="kind"),
    ],
    BeforeValidator(_kind_alone),
]


class TaskSection(Section):
    """What every kind of task takes; see `tasks.Task`."""

    label: str | None = None
    where: str | None = None
    weight: str | None = None
    reads: Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = ()
    gradient: Literal["stop", "flow"] = "stop"


class BinaryConfig(TaskSection):
    """See `tasks.Binary`."""

    kind: Literal["binary"]


class MulticlassConfig(TaskSection):
    """See `tasks.Multiclass`; the classes are those of the training rows."""

    kind: Literal["multiclass"]


class RegressionConfig(TaskSection):
    """See `tasks.Regression`."""

    kind: Literal["regression"]
    standardize: bool = True


TaskConfig = Annotated[
    Annotated[BinaryConfig | MulticlassConfig | RegressionConfig, Field(discriminator="kind")],
    BeforeValidator(_kind_alone),
]


class SharedBottomConfig(Section):
    """See `sharing.SharedBottom`."""

    kind: Literal["shared_bottom"] = "shared_bottom"
    hidden: Annotated[list[Positive], Field(min_length=1)] = [256, 128]


class MMoEConfig(Section):
    """See `sharing.MMoE`."""

    kind: Literal["mmoe"] = "mmoe"
    experts: Positive = EXPERTS
    hidden: Annotated[list[Positive], Field(min_length=1)] = list(HIDDEN)


def _shared_bottom_unless_told(value: Any) -> Any:
    value = _kind_alone(value)
    return {"kind": "shared_bottom", **value} if isinstance(value, dict) else value


SharingConfig = Annotated[
    Annotated[SharedBottomConfig | MMoEConfig, Field(discriminator="kind")],
    BeforeValidator(_shared_bottom_unless_told),
]


class TowersConfig(Section):
    """See `towers.Towers`."""

    hidden: list[Positive] = [64]


class EmbeddingConfig(Section):
    """See `embedding.Embedding`."""

    sparse_above: Annotated[int, Field(ge=0)] | None = 10_000


class NetworkConfig(Section):
    """The network's shape."""

    embedding: EmbeddingConfig = EmbeddingConfig()
    sharing: SharingConfig = SharedBottomConfig()
    towers: TowersConfig = TowersConfig()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    norm: Norm = "none"


class MethodConfig(Section):
    """A method of `balance.methods` and its options, all written out."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str

    @property
    def values(self) -> dict[str, Any]:
        """The options."""
        return dict(self.__pydantic_extra__ or {})


def _method(table: Mapping[str, Method]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        raw = {"kind": value} if isinstance(value, str) else value
        raw = raw.model_dump() if isinstance(raw, MethodConfig) else raw
        if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
            raise ValueError(f"{value!r}: name a method, or give its kind and options")
        try:
            method = find_method(raw["kind"], table)
        except UserError as error:
            raise ValueError(str(error)) from None
        return {"kind": raw["kind"], **_checked_options(raw, options(method))}

    return check


def _checked_options(raw: Mapping[str, Any], known: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    problems, values = [], {}
    for name in raw:
        if name != "kind" and name not in known:
            hint = did_you_mean(name, known)
            problems.append(f"unknown key {name!r} in {raw['kind']}{hint} (known: {', '.join(known) or 'none'})")
    for name, (annotation, default) in known.items():
        value = raw.get(name, default)
        if value is inspect.Parameter.empty:
            problems.append(f"{name} is missing; {raw['kind']} needs it")
            continue
        per_task = isinstance(value, dict) and name != "arguments"
        try:
            values[name] = TypeAdapter(dict[str, float] if per_task else annotation).validate_python(value)
        except ValidationError as error:
            problems.append(f"{name} of {raw['kind']}: {value!r}: {error.errors()[0]['msg']}")
    if problems:
        raise ValueError("\n".join(problems))
    return values


def _without_gradients(value: Any) -> Any:
    return None if value in ("none", {"kind": "none"}) else _method(GRADIENTS)(value) if value is not None else None


Objective = Annotated[MethodConfig, BeforeValidator(_method(OBJECTIVES))]
Gradients = Annotated[
    MethodConfig | None,
    BeforeValidator(_without_gradients),
    PlainSerializer(lambda value: "none" if value is None else value.model_dump()),
]


class BalanceConfig(Section):
    """How several losses become one update."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    objective: Objective = MethodConfig(kind="uncertainty")
    gradients: Gradients = None
    at: Literal["fork", "parameters"] = "fork"
    update_every: Positive = 1
    """Steps from one set of gradient weights to the next."""


class ConstantConfig(Section):
    """See `schedules.Constant`."""

    kind: Literal["constant"]


class WarmupCosineConfig(Section):
    """See `schedules.WarmupCosine`."""

    kind: Literal["warmup_cosine"]
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    final: Annotated[float, Field(ge=0, le=1)] = 0.0


ScheduleConfig = Annotated[
    Annotated[ConstantConfig | WarmupCosineConfig, Field(discriminator="kind")], BeforeValidator(_kind_alone)
]


class SubnetConfig(Section):
    """What one subnet learns with; see `subnets.Rate`."""

    lr: Rate | None = None
    weight_decay: Rate | None = None
    schedule: ScheduleConfig | None = None


class OptimizerConfig(Section):
    """The optimiser, and each subnet's own rate."""

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: Rate = 0.001
    weight_decay: Rate = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of sgd; the others have none."""
    rows: Literal["adam", "adagrad"] = "adam"
    """How row-sparse embedding tables learn; see `rowwise`."""
    schedule: ScheduleConfig = ConstantConfig(kind="constant")
    subnets: dict[str, SubnetConfig] = {}


class TrainingConfig(Section):
    """The loop."""

    epochs: Positive = 10
    batch_size: Positive = 4096
    patience: Positive | None = 2
    """Epochs without a better validation score before training stops; null for never."""
    select: str = "mean"
    """`mean` (over every task's headline metric), `mean_<metric>`, or `<task>.<metric>`."""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    amp: Literal["none", "bf16", "fp16"] = "none"
    compile: bool = False
    """Whether `torch.compile` turns the network into fused code; the first steps then take longer."""
    log_every: Positive = 50
    """Steps between two lines of the history."""
    log_gradients: bool = False
    """Whether those lines hold the norms and cosines of the tasks' gradients."""


class Config(Section):
    """A whole training, as `trunkline train` reads it."""

    data: DataConfig = DataConfig()
    features: Literal["auto"] | dict[str, FeatureConfig] = "auto"
    tasks: dict[str, TaskConfig] = Field(min_length=1)
    network: NetworkConfig = NetworkConfig()
    balance: BalanceConfig = BalanceConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()

    @field_validator("features")
    @classmethod
    def _some_feature(cls, features: Any) -> Any:
        if not features:
            raise ValueError("no feature: name at least one, or write 'auto'")
        if features != "auto":
            made, problems = [], Problems()
            for name, feature in features.items():
                with problems.collect():
                    made.append(Feature(name=name, **feature.model_dump()))
            if not problems:
                with problems.collect():
                    check_features(made)
            problems.raise_if_any()
        return features

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = []
        for place in ("objective", "gradients"):
            method = getattr(self.balance, place)
            for option, value in (method.values if method else {}).items():
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
            name, raw = str(source), _load_yaml(Path(source))
        else:
            raw = source.model_dump() if isinstance(source, Config) else dict(source)
        for path, value in (overrides or {}).items():
            _put(raw, path, value)
        try:
            return cls.model_validate(raw)
        except ValidationError as error:
            raise UserError(in_users_words(error, cls, name)) from None

    def to_yaml(self) -> str:
        """The whole config with every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)


class _Loader(yaml.SafeLoader):
    """Plain YAML in which a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", node.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _load_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except FileNotFoundError:
        raise UserError(f"config {path} does not exist; `trunkline init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"config {path} cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"config {path} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise UserError(f"config {path} holds {type(raw).__name__}; it must hold keys such as data, features, tasks")
    return raw


def _put(raw: dict[str, Any], path: str, value: Any) -> None:
    parts = [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', path)]
    if not parts:
        raise UserError(f"--set {path!r}: give a path such as optimizer.lr")
    place = raw
    for part in parts[:-1]:
        following = place.get(part)
        if isinstance(following, str):
            following = {"kind": following}
        place[part] = dict(following) if isinstance(following, dict) else {}
        place = place[part]
    place[parts[-1]] = value
