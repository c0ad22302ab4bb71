"""What pre-training and linear evaluation have in common: steps in epochs that can be stopped and gone on with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sized
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from common.errors import Interrupted, NonFiniteLoss, UsageError
from common.process_group import Group
from common.torch_files import whole_number
from moco_nonsem.running.progress import Progress

AGREE_EVERY = 10  # steps between questions to the other processes
PLACE = ("epoch", "batch", "step", "logged")  # of the next batch, and the last step that metrics.jsonl holds
NEVER = torch.iinfo(torch.int64).max
T = TypeVar("T")


class Work(Protocol):
    """What a loop runs: it knows its own epoch, batch and step, and moves them on."""

    epoch: int
    batch: int
    step: int

    def epoch_steps(self) -> Iterator[None]:
        """Does what is left of the epoch, and yields after every step."""

    def end_epoch(self) -> dict[str, float]:
        """Metrics of the epoch that is over; moves on to the next."""

    def shown(self) -> dict[str, float]:
        """How training goes, for a reader."""


class FiniteLoss:
    """Watches losses on the device, so that only a question makes it wait."""

    def __init__(self, group: Group) -> None:
        self._group = group
        self._first_bad = torch.full((), NEVER, device=group.device)

    def watch(self, losses: Tensor, step: int) -> None:
        """Losses [b] of step number `step`."""
        bad = torch.where(torch.isfinite(losses).all(), NEVER, step)
        self._first_bad = torch.minimum(self._first_bad, bad)

    def check(self) -> None:
        """All processes must ask at once. Raises: NonFiniteLoss, naming the first step."""
        first = self._first_bad.clone()
        if self._group.world_size > 1:
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
        if first.item() != NEVER:
            raise NonFiniteLoss(
                f"the loss was not finite in step {first.item()}: a smaller --lr may help; the state before it is kept"
            )


def run_epochs(
    work: Work,
    finite: FiniteLoss,
    group: Group,
    epochs: int,
    steps_an_epoch: int,
    look_every: int,
    stopped: Sized,
    save: Callable[[], None],
    after_epoch: Callable[[dict[str, float], Progress], None],
    save_minutes: float,
    name: str,
) -> None:
    """Trains to the last epoch; saves now and then, when it is asked to stop, and at the end.

    stopped: true as soon as training is to save and stop. Raises: Interrupted, NonFiniteLoss.
    """
    saved = time.monotonic()
    progress = Progress(name, steps_an_epoch * epochs, work.epoch * steps_an_epoch + work.batch, group.leads)
    try:
        while work.epoch < epochs:
            for _ in work.epoch_steps():
                progress.step()
                if work.step % look_every == 0:
                    finite.check()
                    progress.look(work.shown())
                if group.world_size > 1 and work.step % AGREE_EVERY:
                    continue
                due = time.monotonic() - saved > 60 * save_minutes
                stop = group.any(bool(stopped))
                if stop or group.any(due):
                    finite.check()
                    save()
                    saved = time.monotonic()
                if stop:
                    raise Interrupted(f"stopped in epoch {work.epoch} (of 0 … {epochs - 1}), after step {work.step}")
            finite.check()
            after_epoch(work.end_epoch(), progress)
        save()
    finally:
        progress.close()


def place_of(content: Mapping[str, Any], name: str, epochs: int, batches: int) -> dict[str, int]:
    """Where a checkpoint goes on: its values of PLACE. Without a position, the beginning of its epoch of `batches`.

    Raises: UsageError, naming `name`, where nothing of `epochs` is left to train and no metrics are there either;
    KeyError, TypeError or ValueError where it says no place.
    """
    if "position" in content:
        place = {key: whole_number(content["position"][key], 0, NEVER, key) for key in PLACE}
        whole_number(place["batch"], 0, batches, "batch")
    else:
        epoch = whole_number(content["epoch"], 0, NEVER, "epoch")
        place = dict(zip(PLACE, (epoch, 0, epoch * batches, 0), strict=True))
    if place["epoch"] > epochs or (place["epoch"] == epochs and not content.get("last_values")):
        raise UsageError(
            f"{name} has {place['epoch']} epochs behind it, so that --epochs={epochs} leaves nothing to train: give a "
            "larger --epochs, or another checkpoint"
        )
    return place


def timed(items: Iterator[T], spent: list[float]) -> Iterator[T]:
    """The items; spent[0] grows by the seconds that were waited for them."""
    while True:
        before = time.monotonic()
        try:
            item = next(items)
        except StopIteration:
            return
        finally:
            spent[0] += time.monotonic() - before
        yield item
