"""The suites that others hold their plug-ins to: all of ours passes them, and what breaks a property does not."""

from dataclasses import dataclass
from typing import ClassVar, final

import pytest
import torch

from trunkline.balance import GramianBalancer, ObjectiveBalancer
from trunkline.balance.methods import GRADIENTS, OBJECTIVES
from trunkline.nn.inputs import FeatureSlice
from trunkline.nn.mlp import Layers
from trunkline.sharing import Sharing
from trunkline.sharing.architectures import ARCHITECTURES
from trunkline.tasks import TASK_KINDS, Task
from trunkline.testing import check_architecture, check_gradient_method, check_objective, check_task

FEATURES = {"page": FeatureSlice(column=0, rows=3, start=0, width=2)}
OPTIONS = {"star": {"domain": "page"}, "pepnet": {"prior": ["page"]}, "ple": {"hidden": [[6], [5]]}}
LABELS = {"binary": [0, 1, 1, 0], "lognormal": [0.5, 2, 9, 40], "zero_inflated_lognormal": [0, 0, 3, 50]}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_our_objectives(name):
    def build(tasks):
        options = {"weights": [1.0] * tasks} if name == "fixed" else {}
        return OBJECTIVES.make(name, options, tasks=tasks, parameters=0, exponents=[1.0] * tasks)

    check_objective(build)


@pytest.mark.parametrize("name", sorted(set(GRADIENTS) - {"torchjd"}))
def test_our_gradient_methods(name):
    check_gradient_method(lambda: GRADIENTS.make(name, {}, tasks=5, parameters=12, exponents=[1.0] * 5))


@pytest.mark.parametrize("name", TASK_KINDS)
def test_our_task_kinds(name):
    labels = torch.tensor(LABELS.get(name, [0.0, 1.0, 2.0, 5.0, 1.0]), dtype=torch.float64)
    check_task(lambda task: TASK_KINDS[name](name=task), labels)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_our_architectures(name):
    def build(width, tasks):
        options = {"hidden": [6, 5], **OPTIONS.get(name, {})}
        return ARCHITECTURES.make(
            name, options, in_features=width, tasks=tasks, features=FEATURES, layers=Layers(activation="gelu")
        )

    check_architecture(build)


class _Reads(ObjectiveBalancer):
    """Looks at a loss that is not there."""

    def forward(self, losses, active=None):
        return losses.sum()

    def merge(self, losses, active):
        return losses.sum()


class Forgetful(ObjectiveBalancer):
    """State that no state_dict holds."""

    steps = 0

    def merge(self, losses, active):
        self.steps += self.training
        return losses.sum() * self.steps


class Draws(GramianBalancer):
    """The global generator."""

    def weigh(self, gramian, active):
        return torch.rand(len(gramian), dtype=torch.float64)


class Infinite(GramianBalancer):
    """Division by a norm that may be 0."""

    def weigh(self, gramian, active):
        return 1 / gramian.diagonal().sqrt()


class Mixed(Sharing):
    """What a task reads holds the others' copies."""

    def __init__(self, in_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, 4)
        self.in_features, self.out_features = in_features, 4

    def shared(self, x, ids):
        return (self.layer(x),)

    def per_task(self, copies):
        return (sum(copy for (copy,) in copies),) * len(copies)

    def parameters_by_subnet(self):
        return {"shared": list(self.layer.parameters())}

    def shared_parameters(self):
        return list(self.layer.parameters())

    def gates(self, x, ids):
        return {}


@final
@dataclass(frozen=True, kw_only=True)
class Wrong(Task):
    """Half of the gradient is missing."""

    kind: ClassVar[str] = "wrong"
    metrics: ClassVar[tuple[str, ...]] = ("rmse", "r2")
    headline: ClassVar[str] = "r2"
    exponent: ClassVar[float] = 1.0
    rule: ClassVar[str] = "a number"
    outputs: ClassVar[int] = 1
    signal_width: ClassVar[int] = 1

    def loss(self, raw, label):
        return 0.5 * (raw[:, 0] - label) * (raw[:, 0].detach() - label)

    def estimate(self, raw):
        return raw[:, 0]

    def signal(self, raw):
        return raw

    def interval(self, raw):
        return None

    def details(self, raw):
        return {}

    def allowed(self, label):
        return torch.ones_like(label, dtype=torch.bool)

    def learn(self, facts):
        return self


BROKEN = {
    "moved the objective|has a weight": lambda: check_objective(_Reads),
    "parts from it": lambda: check_objective(Forgetful),
    "global generator|state_dict does not go on|changed the weights": lambda: check_gradient_method(Draws),
    r"weights \[": lambda: check_gradient_method(Infinite),
    "depend on the copies": lambda: check_architecture(lambda width, tasks: Mixed(width)),
    "finite differences": lambda: check_task(lambda name: Wrong(name=name), torch.tensor([0.0, 1.0, 3.0])),
}


@pytest.mark.parametrize("said", BROKEN)
def test_what_breaks_a_property_is_found(said):
    with pytest.raises(AssertionError, match=said):
        BROKEN[said]()
