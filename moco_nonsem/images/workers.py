"""Worker processes that read batches ahead of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from common.errors import UsageError
from common.process_group import Group
from common.stopping import leave_ctrl_c_to_parent


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How images are read.

    batch_size: images a step, over all processes; workers: its own reading processes; group: which of the
    training processes this is; kind: `device`, or `reference` for torchvision's own transforms image by image.
    """

    batch_size: int
    workers: int
    seed: int
    group: Group
    kind: str = "device"


class Unreadable(NamedTuple):
    """Comes out of a worker in place of a batch."""

    why: str


def read(source: Dataset, plan: Sequence, reading: Reading) -> Iterator:
    """source[item] of each item of `plan`, in order, by worker processes. Raises: UsageError for `Unreadable`."""
    batches: DataLoader = DataLoader(
        source,
        batch_size=None,
        sampler=plan,
        num_workers=min(reading.workers, len(plan)),
        pin_memory=reading.group.device.type == "cuda",
        collate_fn=_as_it_is,
        worker_init_fn=leave_ctrl_c_to_parent,
        generator=torch.Generator(),  # else a number is drawn from the global one
    )
    for batch in batches:
        if isinstance(batch, Unreadable):
            raise UsageError(batch.why)
        yield batch


def _as_it_is(batch):
    return batch
