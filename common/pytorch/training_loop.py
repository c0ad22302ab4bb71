"""Steps in epochs that can be stopped and resumed. For the programs that have torch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from common.errors import Interrupted, NonFiniteLoss
from common.progress import Progress
from common.pytorch.process_group import Group

AGREE_EVERY = 10  # steps between questions to the other processes


class AskedToStop(Exception):
    """Work is to be saved as its last step left it. Raised by the loop, or by work that looks at `stopped` itself."""


class FiniteLoss:
    """The first step whose loss was not finite, kept on the device: to ask at every step would make a GPU wait.

    step: int64 [], steps done. Everything is written in place, so that a step can be captured. advice: what may help.
    """

    def __init__(self, group: Group, advice: str) -> None:
        self._group, self._advice = group, advice
        self.step = torch.zeros((), dtype=torch.int64, device=group.device)
        self._never = torch.full_like(self.step, torch.iinfo(torch.int64).max)
        self.first = self._never.clone()

    def watch(self, losses: Tensor) -> None:
        """After each step; losses: [b]."""
        self.step += 1
        # Not `where` with a number: torch would copy that from the host.
        bad = torch.where(torch.isfinite(losses).all(), self._never, self.step)
        torch.minimum(self.first, bad, out=self.first)

    def check(self) -> None:
        """All processes must ask at once. Raises: NonFiniteLoss, naming the first step."""
        first = self.first.clone()
        if self._group.world_size > 1:
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
        if not first.equal(self._never):
            raise self.error("the loss", int(first))

    def error(self, what: str, step: int) -> NonFiniteLoss:
        """The error that names the step."""
        return NonFiniteLoss(
            f"{what} is not finite in step {step}: training stopped; the last checkpoint is from before. Try "
            f"{self._advice}"
        )


class Work(Protocol):
    """What the loop runs. It knows its own epoch, of the next batch, and how many steps are done, and moves them on."""

    group: Group
    finite: FiniteLoss
    epoch: int
    step: int

    def epoch_steps(self) -> Iterator[None]:
        """Does what is left of the epoch, and yields after every step."""

    def end_epoch(self) -> dict[str, float]:
        """Metrics of the epoch that is over; moves on to the next."""

    def shown(self) -> dict[str, float]:
        """How training goes, for a reader."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """name: of the run, for a reader; steps: of all epochs; look_every: steps between looks at the loss."""

    name: str
    last_epoch: int
    steps: int
    look_every: int
    save_minutes: float


def run_epochs(
    work: Work, plan: Plan, stopped: Sized, save: Callable[[], None], after_epoch: Callable[[dict[str, float]], None]
) -> None:
    """Trains to the last epoch; saves now and then, when it is asked to stop, and at the end.

    stopped: true as soon as training is to save and stop. Raises: Interrupted, NonFiniteLoss.
    """
    group, saved = work.group, time.monotonic()
    progress = Progress(plan.name, plan.steps, work.step, group.leads)
    try:
        while work.epoch <= plan.last_epoch:
            for _ in work.epoch_steps():
                progress.step()
                if work.step % plan.look_every == 0:
                    work.finite.check()
                    progress.look(work.shown())
                if group.world_size > 1 and work.step % AGREE_EVERY:
                    continue
                if group.any(bool(stopped)):
                    raise AskedToStop
                if group.any(time.monotonic() - saved > 60 * plan.save_minutes):
                    work.finite.check()
                    save()
                    saved = time.monotonic()
            work.finite.check()
            after_epoch(work.end_epoch())
        save()
    except AskedToStop:
        work.finite.check()
        save()
        raise Interrupted(
            f"stopped in epoch {work.epoch} (the last is {plan.last_epoch}), after step {work.step}"
        ) from None
    finally:
        progress.close()
