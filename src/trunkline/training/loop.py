"""The training loop, in the open."""

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from types import FrameType
from typing import Any, final

import torch
from torch import Tensor

from trunkline.balance import ObjectiveBalancer, RevisedUncertainty, Uncertainty
from trunkline.callbacks.base import Callback, Line
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
from trunkline.training.callbacks.guarded import CallbackError, Guarded
from trunkline.training.checkpoint import Checkpoint
from trunkline.training.clock import Clock
from trunkline.training.freeze import learning, train_mode
from trunkline.training.loss_meter import LossMeter
from trunkline.training.rerun import Rerun
from trunkline.training.updates import Updates


@final
@dataclass(kw_only=True, eq=False)
class Loop:
    """A training: steps, epochs and lines; what becomes of them is the callbacks' business. Calling it trains.

    Attributes:
        network: on `device`.
        objective: merges the losses; on `device`.
        state: optimiser, gradient scaler and counters; says where to begin.
        train: training rows.
        valid: validation rows, if there are any.
        epochs: at most this many.
        device: where to compute.
        amp: `none`, `bf16` or `fp16`.
        compile: whether `torch.compile` fuses the network and its losses.
        log_every: steps between two lines; an epoch's last step has one in any case.
        log_gradients: whether lines hold the norms and cosines of the tasks' gradients at the fork.
        callbacks: told of everything, in this order.
        bad_batches: how many whose loss or gradient is no number may be left out.
    """

    network: Network
    objective: ObjectiveBalancer
    state: Checkpoint
    train: Batches
    valid: Batches | None
    epochs: int
    device: torch.device
    amp: str = "none"
    compile: bool = False
    log_every: int = 50
    log_gradients: bool = False
    callbacks: Sequence[Callback] = ()
    bad_batches: int = 0
    _stopped: bool = False
    _wanted: bool = False

    def __call__(self) -> None:
        """Train until the last epoch, or until a callback stops it.

        Raises:
            UserError: a loss that is not a number, with its task and step; what a callback raises.
            KeyboardInterrupt: after Ctrl-C, once the step under way is done and the state was kept.
        """
        p = self.state.progress
        meter = LossMeter([task.name for task in self.network.tasks], self.device, sums=p.sums)
        clock = Clock(p)
        with interrupts() as interrupted, self.kept_if_a_callback_fails(meter, clock):
            self.tell("on_start")
            while not self.over():
                train_mode(self.network)
                clock.start()
                for batch in self.train.shuffled(p.epoch, start=p.batch, then=self.look_ahead):
                    here = batch.to(self.device)
                    updates = Updates(self.network) if self.is_logged() else None
                    taken = self.take(here, meter)
                    p.step, p.batch, p.rows = p.step + 1, p.batch + 1, p.rows + len(batch)
                    line: Line | None = None
                    if updates is not None and taken is not None:
                        meter.check()
                        line = self.line(meter, here, *taken, clock.stop()) | {"updates": updates.sizes()}
                    self.end_step(line)
                    if line is not None:
                        clock.start()
                    if interrupted() or self._wanted:
                        self.keep(meter, clock)
                        if interrupted():
                            raise KeyboardInterrupt
                self.end_epoch(meter, clock)
                if interrupted() and not self.over():
                    raise KeyboardInterrupt
            self.tell("on_end")

    def over(self) -> bool:
        """Whether the last epoch is done, or a callback has stopped the training."""
        return self.state.progress.epoch >= self.epochs or self._stopped

    def stop(self) -> None:
        """End the training after the epoch under way, or before the first step."""
        self._stopped = True

    def want_checkpoint(self) -> None:
        """Have the state kept after the step under way."""
        self._wanted = True

    def tell(self, hook: str, *what: Any) -> None:
        """Tell every callback, in order."""
        for callback in self.callbacks:
            getattr(callback, hook)(self, *what)

    def is_logged(self) -> bool:
        """Whether the step to come ends a window of the history: every `log_every`-th, and an epoch's last."""
        p = self.state.progress
        return (p.step + 1) % self.log_every == 0 or p.batch + 1 == len(self.train)

    def end_step(self, line: Line | None) -> None:
        """Tell of a step, and of its line where it has one.

        The history comes before what users give: where theirs raises, the line is written already.
        """
        for callback in self.callbacks:
            callback.on_step(self)
            if line is not None:
                callback.on_line(self, line)

    def keep(self, meter: LossMeter, clock: Clock) -> None:
        """Make sure that the state is sound, and have it kept.

        Raises:
            UserError: a loss, or a parameter, that is not a number.
        """
        meter.check()
        self.check_parameters()
        self._keep(meter, clock)

    def _keep(self, meter: LossMeter, clock: Clock) -> None:
        clock.stop()
        self.state.progress.sums, self._wanted = meter.sums(), False
        self.tell("on_checkpoint")
        clock.start()

    @contextmanager
    def kept_if_a_callback_fails(self, meter: LossMeter, clock: Clock) -> Iterator[None]:
        """Inside, a user's callback that raises leaves a sound checkpoint behind; hooks run between whole steps."""
        try:
            yield
        except CallbackError:
            self.callbacks = [one for one in self.callbacks if not isinstance(one, Guarded)]
            with suppress(UserError):  # what is not sound is not kept; the checkpoint before it is
                self.keep(meter, clock)
            raise

    def take(self, batch: Batch, meter: LossMeter) -> tuple[Tensor, Tensor] | None:
        """A step on a batch: what `step` gave; None where the batch was left out.

        Raises:
            UserError: a loss or a gradient that is no number, and as many batches as may be were left out before.
        """
        p, buffers = self.state.progress, [(b, b.clone()) for b in self.network.buffers()] if self.bad_batches else []
        broken: list[str] = []
        try:
            losses, active = self.step(batch)
            if self.careful:
                broken = broken_tasks(meter.tasks, losses)
            if not broken:
                meter.see(p.step, losses, active)
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
        logged = self.log_gradients and self.is_logged()
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
            self.network.fork.unscale(scale)
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

    def end_epoch(self, meter: LossMeter, clock: Clock) -> None:
        """Score the validation rows, tell it, and have the state kept.

        Raises:
            UserError: a loss, a parameter or a score that is not a number; what a callback raises.
        """
        p = self.state.progress
        meter.check()
        clock.stop()
        p.sums = meter.sums()
        self.check_parameters()
        scores = evaluate(self.network, self.valid, self.device, amp=self.amp) if self.valid else None
        _refuse_no_numbers(scores or {}, p.step - 1)
        line: Line = {"step": p.step, "epoch": p.epoch, "valid": scores}
        own = [one for one in self.callbacks if not isinstance(one, Guarded)]
        for callback in own:
            callback.on_epoch(self, line)
        gates = self.gates(next(iter((self.valid or self.train).ordered())).to(self.device))
        if gates:
            line |= {"gates": gates, "unused_experts": unused_experts(gates)}
        if self.bad_batches:
            line["bad_batches"] = p.bad_batches
        for callback in own:
            callback.on_line(self, line)
        p.epoch, p.batch = p.epoch + 1, 0  # whole again: a user's callback may raise from here on
        for callback in self.callbacks:
            if isinstance(callback, Guarded):
                callback.on_epoch(self, line)
                callback.on_line(self, line)
                self.check_parameters(after=callback.name)
        self._keep(meter, clock)

    def check_parameters(self, *, after: str | None = None) -> None:
        """Refuse a network that no longer holds numbers, in its parameters or in what it learnt beside them.

        Args:
            after: the callback that was called last, where the network was sound before.

        Raises:
            UserError: it does not.
        """
        beside = [b for name, b in self.network.named_buffers() if b.is_floating_point() and "fork." not in name]
        sums = [tensor.detach().sum().isfinite() for tensor in (*self.network.parameters(), *beside)]
        if not torch.stack(sums).all():
            step, told = self.state.progress.step - 1, "the network's parameters are not numbers"
            if after is not None:
                raise UserError(f"{told} after callback {after}; it wrote them: mend it or leave it out")
            users = ", ".join(one.name for one in self.callbacks if isinstance(one, Guarded))
            raise UserError(f"{told} after step {step}; lower optimizer.lr{users and f', or mend {users}'}")

    def gates(self, batch: Batch) -> dict[str, Any]:
        """What the gates do on a batch; see `gate_facts`."""
        return gate_facts(self.network.gates(batch.ids, batch.numbers, batch.lists))

    def line(self, meter: LossMeter, batch: Batch, losses: Tensor, active: Tensor, rows_per_second: float) -> Line:
        """What happened lately: mean losses, their sum, the objective's weights, noise, gates, rates and speed."""
        p, names = self.state.progress, meter.tasks
        means = meter.means()
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
