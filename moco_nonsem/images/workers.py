"""Worker processes that read batches ahead of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from common.errors import UsageError
from common.pytorch.process_group import Group
from common.pytorch.readers import batches_of, become_reader, check_room


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
    """source[item] of each item of `plan`, (epoch, places in the tree), in order, by worker processes.

    Raises: UsageError for `Unreadable`; ProcessLost; WorkFailed where shared memory has no room for the batches.
    """
    workers = min(reading.workers, len(plan))
    if workers:
        epoch, examples = plan[0]
        check_room(source[epoch, examples[:1]], len(examples), workers, reading.group.local_size, "-j 0")
    loader: DataLoader = DataLoader(
        source,
        batch_size=None,
        sampler=plan,
        num_workers=workers,
        pin_memory=reading.group.device.type == "cuda",
        collate_fn=lambda batch: batch,
        worker_init_fn=become_reader,
        multiprocessing_context="fork" if workers else None,  # a rank that was spawned would spawn: seconds an epoch
        generator=torch.Generator(),  # else a number is drawn from the global one
    )
    for batch in batches_of(loader):
        if isinstance(batch, Unreadable):
            raise UsageError(batch.why)
        yield batch
