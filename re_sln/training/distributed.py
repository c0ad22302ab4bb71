"""The process group of a program that torchrun started, or that runs alone."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from common.errors import UsageError
from common.process_group import Group, run_in


def in_group(device: str, work: Callable[[Group], int]) -> int:
    """What work(group) returns, among the other processes or alone; see `run_in`. Raises: as `pick_device`."""
    world_size, local_rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    chosen = pick_device(device, local_rank)
    rank = int(os.environ["RANK"]) if world_size > 1 else 0
    local_size = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    return run_in(Group(rank, world_size, chosen, local_size), work, "nccl" if chosen.type == "cuda" else "gloo")


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
