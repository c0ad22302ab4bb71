"""One process or several (torchrun): who this one is, and the few things that processes tell one another."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist

from common.allocator import keep_freed_memory
from common.errors import UsageError


@dataclass(frozen=True)
class Group:
    """This process among its group; the device it computes on."""

    rank: int
    world_size: int
    device: torch.device

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

    def share(self, count: int) -> slice:
        """Which of `count` examples of a batch are this process's: consecutive ones, sizes differing by one at most."""
        return slice(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)


def in_group(device: str, work: Callable[[Group], int]) -> int:
    """What work(group) returns, among the other processes or alone. Raises: UsageError for a GPU that is not there.

    Work is a function of its own, so that what it made is gone before the group is: the last one to let go of a gloo
    group must not hold Python's lock, which the group's thread may wait for. A network wrapped for several processes
    would be that last one, and now and then the process would never end.
    """
    world_size, local_rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    chosen = pick_device(device, local_rank)
    if chosen.type == "cpu":
        keep_freed_memory()
    if world_size == 1:
        return work(Group(0, 1, chosen))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        return work(Group(dist.get_rank(), world_size, chosen))
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold what work had made
        raise
    finally:
        gc.collect()
        dist.destroy_process_group()


def pick_device(device: str, local_rank: int) -> torch.device:
    """The device of --device. Raises: UsageError."""
    count = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and count == 0):
        return torch.device("cpu")
    if local_rank >= count:
        raise UsageError(
            f"--device={device}: process {local_rank} wants GPU {local_rank}, but torch {torch.__version__} finds "
            f"{count} here; use --device=cpu, or fewer processes"
        )
    return torch.device("cuda", local_rank)
