"""The process group of a program that torchrun started, or that runs alone."""

from __future__ import annotations

from collections.abc import Callable

import torch

from common.environment import torchrun
from common.errors import UsageError
from common.pytorch.devices import usable_gpus
from common.pytorch.process_group import Group, run_in


def in_group(device: str, work: Callable[[Group], int]) -> int:
    """What work(group) returns, among the other processes or alone; see `run_in`. Raises: as `pick_device`."""
    ranks = torchrun() or {"RANK": 0, "WORLD_SIZE": 1, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
    chosen = pick_device(device, ranks["LOCAL_RANK"])
    group = Group(ranks["RANK"], ranks["WORLD_SIZE"], chosen, ranks["LOCAL_WORLD_SIZE"])
    return run_in(group, work, "nccl" if chosen.type == "cuda" else "gloo")


def pick_device(device: str, local_rank: int) -> torch.device:
    """The device of --device. Raises: UsageError."""
    count = usable_gpus(device)
    if device == "cpu" or (device == "auto" and count == 0):
        return torch.device("cpu")
    if local_rank >= count:
        raise UsageError(
            f"--device={device}: process {local_rank} wants GPU {local_rank}, but torch {torch.__version__} finds "
            f"{count} here; use --device=cpu, or fewer processes"
        )
    return torch.device("cuda", local_rank)
