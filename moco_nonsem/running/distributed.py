"""The process group of a place among the processes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from common.pytorch.process_group import Group, run_in
from moco_nonsem.running.launch import Place


def in_group(place: Place, work: Callable[[Group], int]) -> int:
    """What work(group) returns, among the other processes or alone; see `run_in`."""
    device = torch.device("cpu") if place.gpu is None else torch.device("cuda", place.gpu)
    group = Group(place.rank, place.world_size, device, place.local_size)
    return run_in(group, work, place.backend, place.url)
