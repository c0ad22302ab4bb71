"""One process or several: who this one is, and the few things that processes tell one another."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed as dist

from moco_nonsem.errors import UsageError
from moco_nonsem.launch import Place

# The others wait while the first process looks at every image of the training set.
PATIENCE = datetime.timedelta(hours=2)


@dataclass(frozen=True)
class Group:
    """This process among its group; the device it computes on; how many processes this machine has."""

    rank: int
    world_size: int
    device: torch.device
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def add(self, value: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        if self.world_size > 1:
            dist.all_reduce(value)
        return value

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        return bool(self.add(torch.tensor(int(flag), device=self.device)).item()) if self.world_size > 1 else flag

    def from_leader(self, value):
        """The leader's value (anything that can be pickled), in every process."""
        if self.world_size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def leader_does(self, work):
        """What work() returns in the leader, in every process; a UsageError there is raised everywhere."""
        found, error = None, None
        if self.leads:
            try:
                found = work()
            except UsageError as mistake:
                if self.world_size == 1:
                    raise
                error = str(mistake)
        found, error = self.from_leader((found, error))
        if error is not None:
            raise UsageError(error)
        return found

    def share(self, count: int) -> slice:
        """Which of `count` examples of a batch are this process's: consecutive ones, sizes differing by one at most."""
        return slice(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)


@contextlib.contextmanager
def join_group(place: Place) -> Iterator[Group]:
    """Joins the other processes, or stands alone."""
    device = torch.device("cpu") if place.gpu is None else torch.device("cuda", place.gpu)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if place.world_size == 1:
        yield Group(0, 1, device)
        return
    dist.init_process_group(
        place.backend, init_method=place.url, world_size=place.world_size, rank=place.rank, timeout=PATIENCE
    )
    try:
        yield Group(place.rank, place.world_size, device, place.local_size)
    finally:
        dist.destroy_process_group()
