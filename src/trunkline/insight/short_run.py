"""Short trainings that leave nothing behind: rows encoded once, and the same start as often as it is wanted."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, final

import torch

from trunkline.assembly.balance import build_objective
from trunkline.assembly.checks import check_config, check_subnets
from trunkline.assembly.device import pick_device
from trunkline.assembly.network import build_network
from trunkline.assembly.optimizers import build_optimizers
from trunkline.assembly.tasks import build_features
from trunkline.config import Config
from trunkline.preparation.data import Data, prepare
from trunkline.random_state import isolated_random
from trunkline.tables import Batch, Batches
from trunkline.tables.frames import as_polars
from trunkline.training.checkpoint import Checkpoint, Progress
from trunkline.training.fit import resolved
from trunkline.training.freeze import freeze, train_mode
from trunkline.training.loop import Loop


@final
@dataclass(frozen=True)
class ShortRun:
    """What a config and its rows come to, before the first step.

    Attributes:
        config: with what the rows decided.
        data: encoded rows.
        device: where to compute.
    """

    config: Config
    data: Data
    device: torch.device

    @classmethod
    def make(cls, config: Config, frames: Mapping[str, Any]) -> Self:
        """Check a config and encode its rows.

        Args:
            config: the config.
            frames: rows in memory by part, instead of files; None where there are none.

        Raises:
            UserError: what is wrong with config and rows.
        """
        tasks = check_config(config)
        given = {part: as_polars(frame) for part, frame in frames.items() if frame is not None}
        data = prepare(config, tasks, build_features(config), given)
        check_subnets(config, data.labels.tasks, data.encoder.inputs)
        return cls(resolved(config, data), data, pick_device(config.training))

    def steps(self, wanted: int) -> int:
        """`wanted`, or as many steps as the config would train."""
        return min(wanted, -(-len(self.data.stores["train"]) // self.config.training.batch_size) * self.epochs)

    @property
    def epochs(self) -> int:
        """As many as the config allows."""
        return self.config.training.epochs

    @contextmanager
    def started(self, *, steps: int | None = None) -> Iterator[Loop]:
        """A training before its first step, the same each time; torch's generators are put back afterwards.

        Args:
            steps: how long schedules take the training to be, in whole epochs; as the config says by default.
        """
        c, tasks = self.config.training, self.data.labels.tasks
        with isolated_random(c.seed):
            network = build_network(self.config, tasks, self.data.encoder.inputs).to(self.device)
            objective = build_objective(self.config.balance, tasks).to(self.device)
            scaler = torch.amp.GradScaler(self.device.type, enabled=c.amp == "fp16")
            optimizers = build_optimizers(self.config.optimizer, network, objective)
            freeze(optimizers)
            train = self.batches("train")
            yield Loop(
                network=network,
                objective=objective,
                state=Checkpoint(network, objective, optimizers, scaler, Progress()),
                train=train,
                valid=self.batches("valid") if "valid" in self.data.stores else None,
                epochs=self.epochs if steps is None else -(-steps // len(train)),
                device=self.device,
                amp=c.amp,
                compile=False,
                log_every=c.log_every,
                log_gradients=False,
            )

    def batches(self, part: str) -> Batches:
        """The rows of a part, in batches of the config's size."""
        return Batches(
            store=self.data.stores[part], size=self.config.training.batch_size, seed=self.config.training.seed
        )


def first_batches(loop: Loop, count: int) -> Iterator[Batch]:
    """The first batches of a training, on its device, from one epoch into the next; counts the steps."""
    progress, done = loop.state.progress, 0
    while True:
        for batch in loop.train.shuffled(progress.epoch, then=loop.look_ahead):
            train_mode(loop.network)
            yield batch.to(loop.device)
            progress.step, done = progress.step + 1, done + 1
            if done == count:
                return
        progress.epoch += 1
