"""The training loop, in the open."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import FrameType
from typing import Any, final

import torch
from torch import Tensor

from trunkline.balance import ObjectiveBalancer, RevisedUncertainty, Uncertainty
from trunkline.errors import UserError
from trunkline.inference.evaluate import autocast, evaluate
from trunkline.inference.gating import gate_facts, unused_experts
from trunkline.metrics import Scores
from trunkline.network import Network
from trunkline.nn.embedding import LookupPlan
from trunkline.nn.inputs import Ragged
from trunkline.optim.schedules import set_rates
from trunkline.tables import Batch, Batches
from trunkline.training.bad_batch import NonFiniteGradients, bad_rows, broken_tasks, check_gradients, nonfinite_message
from trunkline.training.checkpoint import Checkpoint
from trunkline.training.freeze import learning, train_mode
from trunkline.training.loss_meter import LossMeter
from trunkline.training.rerun import Rerun
from trunkline.training.updates import Updates

Line = dict[str, Any]


@final
@dataclass(frozen=True, kw_only=True)
class Loop:
    """Everything a training needs; calling it trains.

    Attributes:
        network: on `device`.
        objective: merges the losses; on `device`.
        state: optimiser, gradient scaler and counters; says where to begin.
        train: training rows.
        valid: validation rows, if there are any.
        epochs: at most this many.
        patience: epochs without a better score before stopping; None for never.
        select: from validation scores to one number, higher is better.
        device: where to compute.
        amp: `none`, `bf16` or `fp16`.
        compile: whether `torch.compile` fuses the network and its losses.
        log_every: steps between two lines.
        log_gradients: whether lines hold the norms and cosines of the tasks' gradients at the fork.
        on_line: receives a line every `log_every` steps and after every epoch.
        on_best: called when an epoch is the best so far (every epoch where there is no validation).
        on_checkpoint: called when the state is whole and sound: after every epoch, on an interrupt, and in between.
        bad_batches: how many whose loss or gradient is no number may be left out.
        checkpoint_seconds: after which the state is kept within an epoch.
    """

    network: Network
    objective: ObjectiveBalancer
    state: Checkpoint
    train: Batches
    valid: Batches | None
    epochs: int
    patience: int | None
    select: Callable[[Scores], float | None]
    device: torch.device
    amp: str
    compile: bool
    log_every: int
    log_gradients: bool
    on_line: Callable[[Line], None]
    on_best: Callable[[Scores | None], None]
    on_checkpoint: Callable[[], None]
    bad_batches: int = 0
    checkpoint_seconds: float = math.inf

    def __call__(self) -> None:
        """Train until the last epoch, or until patience runs out.

        Raises:
            UserError: a loss that is not a number, with its task and step.
            KeyboardInterrupt: after Ctrl-C, once the step under way is done and `on_checkpoint` was called.
        """
        p = self.state.progress
        watch = LossMeter([task.name for task in self.network.tasks], self.device, sums=p.sums)
        saved = time.perf_counter()
        with interrupts() as interrupted:
            while not self.over():
                train_mode(self.network)
                began, began_rows = time.perf_counter(), p.rows
                for batch in self.train.shuffled(p.epoch, start=p.batch, then=self.look_ahead):
                    here = batch.to(self.device)
                    updates = Updates(self.network) if (p.step + 1) % self.log_every == 0 else None
                    taken = self.take(here, watch)
                    p.step, p.batch, p.rows = p.step + 1, p.batch + 1, p.rows + len(batch)
                    if updates is not None and taken is not None:
                        watch.check()
                        now = time.perf_counter()
                        p.seconds += now - began
                        line = self.line(watch, here, *taken, (p.rows - began_rows) / (now - began))
                        self.on_line({**line, "updates": updates.sizes()})
                        began, began_rows = time.perf_counter(), p.rows
                    if interrupted() or time.perf_counter() - saved >= self.checkpoint_seconds:
                        watch.check()
                        self.check_parameters()
                        p.seconds, p.sums = p.seconds + time.perf_counter() - began, watch.sums()
                        self.on_checkpoint()
                        if interrupted():
                            raise KeyboardInterrupt
                        saved = began = time.perf_counter()
                        began_rows = p.rows
                watch.check()
                p.seconds, p.sums = p.seconds + time.perf_counter() - began, watch.sums()
                self.end_epoch()
                saved = time.perf_counter()
                if interrupted() and not self.over():
                    raise KeyboardInterrupt

    def over(self) -> bool:
        """Whether the last epoch is done or patience has run out."""
        p = self.state.progress
        return p.epoch >= self.epochs or (self.patience is not None and p.waited >= self.patience)

    def take(self, batch: Batch, watch: LossMeter) -> tuple[Tensor, Tensor] | None:
        """A step on a batch: what `step` gave; None where the batch was left out.

        Raises:
            UserError: a loss or a gradient that is no number, and as many batches as may be were left out before.
        """
        p, buffers = self.state.progress, [(b, b.clone()) for b in self.network.buffers()] if self.bad_batches else []
        broken: list[str] = []
        try:
            losses, active = self.step(batch)
            if self.careful:
                broken = broken_tasks(watch.tasks, losses)
            if not broken:
                watch.see(p.step, losses, active)
                return losses, active
        except NonFiniteGradients:
            pass
        for buffer, value in buffers:
            buffer.copy_(value)
        p.bad_batches += 1
        if p.bad_batches > self.bad_batches:
            numbers = self.train.rows_of(p.epoch, p.batch)
            rows = sorted(int(numbers[row]) for row in bad_rows(self.network, batch))
            raise UserError(nonfinite_message(broken, step=p.step, epoch=p.epoch, rows=rows))
        return None

    @property
    def careful(self) -> bool:
        """Whether every step's losses are looked at before it is taken.

        On an accelerator that would make it wait for the step; there they are looked at before every line of the
        history and every checkpoint, unless bad batches are to be left out.
        """
        return self.device.type == "cpu" or self.bad_batches > 0

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One optimiser step on one batch; its losses `[T]`, detached, and active `[T]`.

        Nothing is learnt where a loss is no number, if the loop is `careful`.

        Raises:
            NonFiniteGradients: where bad batches are left out and a gradient is no number; nothing is learnt.
        """
        optimizers, scaler, p = self.state.optimizers, self.state.scaler, self.state.progress
        wants = self.objective.observes
        logged = self.log_gradients and (p.step + 1) % self.log_every == 0
        self.network.fork.measure = logged or "norms" in wants
        for optimizer in optimizers:
            set_rates(optimizer, step=p.step, steps=len(self.train) * self.epochs)
            optimizer.zero_grad(set_to_none=True)
        again = Rerun(self.network) if "losses" in wants else None
        losses, active = self.losses(batch)
        active = active & self.learning
        if self.careful and not bool(losses.isfinite().all()):
            return losses.detach(), active
        scaler.scale(self.objective(losses, active)).backward()
        if self.bad_batches and not scaler.is_enabled():  # a scaler looks itself
            check_gradients(p for optimizer in optimizers for group in optimizer.param_groups for p in group["params"])
        for optimizer in optimizers:
            scaler.step(optimizer)
        scale = scaler.get_scale()
        scaler.update()
        if self.network.fork.measure:  # on scaled losses
            self.network.fork.gramian /= scale**2
        if wants:
            norms = self.network.fork.norms() if "norms" in wants else None
            self.objective.observe(active, losses=again(lambda: self.losses(batch)[0]) if again else None, norms=norms)
        return losses.detach(), active

    def look_ahead(self, batch: Batch) -> Batch:
        """What can be done for a batch while the one before it is trained on; it runs on the thread that reads."""
        batch = replace(batch, found=self.network.plan_lookups(batch.ids, batch.lists))
        return batch.pin() if self.device.type == "cuda" else batch

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Losses `[T]` and active `[T]` of a batch."""
        # A last batch of another size would be compiled anew, for one step an epoch.
        forward = self.compiled if self.compile and len(batch) == self.train.size else self.forward
        return forward(batch.ids, batch.numbers, batch.lists, batch.found, batch.labels, batch.weights)

    def forward(
        self,
        ids: Tensor,
        numbers: Tensor,
        lists: Sequence[Ragged],
        found: LookupPlan | None,
        labels: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Losses `[T]` and active `[T]`."""
        with autocast(self.device, self.amp):
            raws = self.network(ids, numbers, lists, found)
        return self.network.losses(raws, labels, weights)

    @cached_property
    def learning(self) -> Tensor:
        """Which tasks' losses can teach anything `[T]`; the others, frozen, take no part in the objective."""
        return learning(self.network).to(self.device)

    @cached_property
    def compiled(self) -> Callable[..., tuple[Tensor, Tensor]]:
        """`forward`, compiled when it is first called."""
        compiled: Callable[..., tuple[Tensor, Tensor]] = torch.compile(self.forward)
        return compiled

    def end_epoch(self) -> None:
        """Score the validation rows, keep the best, decide whether to go on, and save where the training stands."""
        p = self.state.progress
        self.check_parameters()
        scores = evaluate(self.network, self.valid, self.device, amp=self.amp) if self.valid else None
        _refuse_no_numbers(scores or {}, p.step - 1)
        value = self.select(scores) if scores else None
        better = p.best_score is None or (value is not None and value > p.best_score)
        if better:
            p.best_score, p.best_epoch, p.waited = value, p.epoch, 0
            self.on_best(scores)
        else:
            p.waited += 1
        line: Line = {"step": p.step, "epoch": p.epoch, "valid": scores, "score": value, "best": better}
        gates = self.gates(next(iter((self.valid or self.train).ordered())).to(self.device))
        if gates:
            line |= {"gates": gates, "unused_experts": unused_experts(gates)}
        if self.bad_batches:
            line["bad_batches"] = p.bad_batches
        self.on_line(line)
        p.epoch, p.batch = p.epoch + 1, 0
        self.on_checkpoint()

    def check_parameters(self) -> None:
        """Refuse a network that no longer holds numbers.

        Raises:
            UserError: it does not.
        """
        if not torch.stack([parameter.detach().sum() for parameter in self.network.parameters()]).isfinite().all():
            step = self.state.progress.step - 1
            raise UserError(f"the network's parameters are not numbers after step {step}; lower optimizer.lr")

    def gates(self, batch: Batch) -> dict[str, Any]:
        """What the gates do on a batch; see `gate_facts`."""
        return gate_facts(self.network.gates(batch.ids, batch.numbers, batch.lists))

    def line(self, watch: LossMeter, batch: Batch, losses: Tensor, active: Tensor, rows_per_second: float) -> Line:
        """What happened lately: mean losses, their sum, the objective's weights, noise, gates, rates and speed."""
        p, names = self.state.progress, watch.tasks
        means = watch.means()
        objective, weights = self.objective.evaluate(losses, active)
        line: Line = {
            "step": p.step,
            "epoch": p.epoch,
            "losses": means,
            "sum": math.fsum(loss for loss in means.values() if loss is not None),
            "objective": float(objective),
            "weights": dict(zip(names, weights.tolist(), strict=True)),
            "lr": {group["name"]: group["lr"] for o in self.state.optimizers for group in o.param_groups},
            "rows_per_second": round(rows_per_second, 1),
        }
        if isinstance(self.objective, (Uncertainty, RevisedUncertainty)):
            line["sigma"] = dict(zip(names, self.objective.sigma().tolist(), strict=True))
        gates = self.gates(batch)
        if gates:
            line["gates"] = gates
        if self.bad_batches:
            line["bad_batches"] = p.bad_batches
        fork = self.network.fork
        if fork.balancer is not None:
            line["fork_weights"] = dict(zip(names, fork.weights.tolist(), strict=True))
        if self.log_gradients:
            line["gradient_norms"] = dict(zip(names, fork.norms().tolist(), strict=True))
            line["cosines"] = [[c if math.isfinite(c) else None for c in row] for row in fork.cosines().tolist()]
        return line


def _refuse_no_numbers(scores: Scores, step: int) -> None:
    broken = [
        f"{metric} of {task}"
        for task, values in scores.items()
        for metric, value in values.items()
        if value is not None and not math.isfinite(value)
    ]
    if broken:
        raise UserError(
            f"{', '.join(broken)} on the validation rows was not a number after step {step}; lower optimizer.lr, "
            "or look for extreme values in the features"
        )


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, turned into a question the loop can ask between two steps; a second Ctrl-C interrupts at once.

    SIGTERM, by which schedulers take a machine back, asks the same, unless the program has a use of its own for it.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    numbers = [signal.SIGINT]
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        numbers.append(signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
