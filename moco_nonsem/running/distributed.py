"""One process or several: who this one is, and the few things that processes tell one another."""

from __future__ import annotations

import datetime
import gc
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist

from common.allocator import keep_freed_memory
from common.errors import UserError
from moco_nonsem.running.launch import Place

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

    def channels_last(self, asked: bool | None) -> bool:
        """Whether images and kernels are kept channels last: as asked, else on a CPU, where it is faster."""
        return self.device.type == "cpu" if asked is None else asked

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
        """What work() returns in the leader, in every process; a mistake of the user is raised in all of them."""
        found, error = None, None
        if self.leads:
            try:
                found = work()
            except (UserError, OSError) as mistake:
                if self.world_size == 1:
                    raise
                error = mistake
        found, error = self.from_leader((found, error))
        if error is not None:
            raise error
        return found

    def share(self, count: int) -> slice:
        """Which of `count` examples of a batch are this process's: consecutive ones, sizes differing by one at most."""
        return slice(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)


def in_group(place: Place, work: Callable[[Group], int]) -> int:
    """What work(group) returns, among the other processes or alone.

    Work is a function of its own, so that what it made is gone before the group is: the last one to let go of a gloo
    group must not hold Python's lock, which the group's thread may wait for. A network wrapped for several processes
    would be that last one, and now and then the process would never end.
    """
    device = torch.device("cpu") if place.gpu is None else torch.device("cuda", place.gpu)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        keep_freed_memory()
    if place.world_size == 1:
        return work(Group(0, 1, device))
    dist.init_process_group(
        place.backend, init_method=place.url, world_size=place.world_size, rank=place.rank, timeout=PATIENCE
    )
    try:
        return work(Group(place.rank, place.world_size, device, place.local_size))
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold what work had made
        raise
    finally:
        gc.collect()
        dist.destroy_process_group()
