"""One process or several: who this one is, and the few things that processes tell one another. Needs torch."""

from __future__ import annotations

import datetime
import gc
import os
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from common.children import end_with_parent
from common.errors import RESUME, ProcessLost, UsageError, UserError, WorkFailed
from common.machine import check_port, cpu_name, warn_of_slow_bfloat16
from common.pytorch.allocator import keep_freed_memory
from common.pytorch.readers import lost_reader

# The others wait while the first process looks at every image of a training set, or makes noise by training a network.
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

    @property
    def device_name(self) -> str:
        """The accelerator's name, else what `cpu_name` says."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else cpu_name()

    def channels_last(self, asked: bool | None) -> bool:
        """Whether images and kernels are kept channels last: as asked, else on a CPU, where it is faster."""
        return self.device.type == "cpu" if asked is None else asked

    def warn_of_precision(self, amp: str) -> None:
        """Says that bfloat16 is slow, where it is."""
        if amp == "bf16" and self.device.type == "cpu":
            warn_of_slow_bfloat16("--amp=bf16")

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

    def check_same(self, config: Mapping[str, Any]) -> None:
        """All processes must ask at once. Raises: UsageError, in all of them, where their configurations differ.

        On several machines each has a command line of its own, and the record would tell of the leader's only.
        """
        if self.world_size == 1:
            return
        found: list[Any] = [None] * self.world_size
        dist.all_gather_object(found, dict(config))
        for name in config:
            values = list(dict.fromkeys(str(one.get(name)) for one in found))
            if len(values) > 1:
                raise UsageError(
                    f"{name} is not the same in all processes ({', '.join(values)}): start the same command on all "
                    "machines"
                )

    def share(self, count: int) -> slice:
        """Which of `count` examples of a batch are this process's: consecutive ones, sizes differing by one at most."""
        return slice(self.rank * count // self.world_size, (self.rank + 1) * count // self.world_size)


def run_in(
    group: Group,
    work: Callable[[Group], int],
    backend: str,
    url: str = "env://",
) -> int:
    """What work(group) returns, among the other processes or alone.

    backend, url: how the processes talk and where they meet.
    Raises: ProcessLost where another of them is gone; UsageError where they cannot meet.

    Work is a function of its own, so that what it made is gone before the group is: the last one to let go of a gloo
    group must not hold Python's lock, which the group's thread may wait for. A network wrapped for several processes
    would be that last one, and now and then the process would never end.
    """
    if group.device.type == "cuda":
        torch.cuda.set_device(group.device)
    else:
        keep_freed_memory()
    if "TORCHELASTIC_RUN_ID" in os.environ:
        end_with_parent(os.getppid())  # torchrun, which would leave it behind if it was killed
    if group.world_size == 1:
        return _told(work, group)
    if url == "env://" and not group.rank and "TORCHELASTIC_RUN_ID" not in os.environ:
        check_port(os.environ.get("MASTER_PORT", ""), f"MASTER_PORT={os.environ.get('MASTER_PORT')}")
    try:
        dist.init_process_group(
            backend, init_method=url, world_size=group.world_size, rank=group.rank, timeout=PATIENCE
        )
    except (dist.DistError, ValueError) as error:
        raise UsageError(f"the {group.world_size} processes do not meet at {url}: {_sentence(error)}") from None
    try:
        return _told(work, group)
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # they hold what work had made
        raise
    finally:
        gc.collect()
        dist.destroy_process_group()


def _told(work: Callable[[Group], int], group: Group) -> int:
    """What work(group) returns. Raises: WorkFailed for torch's words over a process that is gone, or no memory."""
    try:
        return work(group)
    except RuntimeError as error:
        lost = lost_reader(error) or _lost_process(error, group) or _no_memory(error)
        if lost is None:
            raise
        traceback.clear_frames(error.__traceback__)
        raise lost from None


def _lost_process(error: RuntimeError, group: Group) -> ProcessLost | None:
    text = str(error)
    of_group = isinstance(error, dist.DistError) or re.search(r"gloo/|[Cc]onnection (closed|reset)", text)
    if group.world_size > 1 and of_group:
        return ProcessLost(f"another of the {group.world_size} processes is gone ({_sentence(error)}); {RESUME}")
    return None


def _no_memory(error: RuntimeError) -> WorkFailed | None:
    """Torch's paragraph on memory, on a GPU or a CPU."""
    if isinstance(error, torch.OutOfMemoryError):
        size = re.search(r"Tried to allocate [\d.]+ \w+", str(error))
        where = f"the GPU has not memory enough ({size[0] if size else 'CUDA out of memory'})"
    elif found := re.search(r"can't allocate memory: you tried to allocate \d+ bytes", str(error)):
        where = f"this machine has not memory enough ({found[0].partition(': ')[2]})"
    else:
        return None
    return WorkFailed(f"{where}: give a smaller --batch_size, or stop other programs; {RESUME}")


def _sentence(error: BaseException) -> str:
    """The first line of what torch says, without the place in its code."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"^\[[^\]]*\] ", "", line).rstrip(".")[:200]
