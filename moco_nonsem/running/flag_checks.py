"""What is refused of the flags that the programs have in common."""

from __future__ import annotations

import math

from common.errors import UsageError
from moco_nonsem.running.flags import Common

LARGEST_IMAGE = 8192


def check_schedule(flags) -> None:
    """Raises: UsageError. flags: of Training, with lr, momentum, weight_decay, epochs, start_epoch."""
    if not flags.save_minutes >= 0:
        raise UsageError(f"--save-minutes={flags.save_minutes}: must be at least 0")
    if not 0 < flags.lr < math.inf:
        raise UsageError(f"--lr={flags.lr}: a learning rate is a finite number above 0")
    for name in ("momentum", "weight_decay"):
        if not 0 <= getattr(flags, name) < math.inf:
            raise UsageError(f"--{name.replace('_', '-')}={getattr(flags, name)}: a finite number from 0 on")
    if not 0 <= flags.start_epoch < flags.epochs:
        raise UsageError(f"--start-epoch={flags.start_epoch}: within 0 … {flags.epochs - 1}, the last epoch")


def check_numbers(flags: Common, more: dict[str, int]) -> None:
    """Raises: UsageError. more: names of flags with the least value of each."""
    least = {"batch_size": 1, "workers": 0, "image_size": 8, "seed": 0, **more}
    for name, bound in least.items():
        if getattr(flags, name) < bound:
            raise UsageError(f"--{name.replace('_', '-')}={getattr(flags, name)}: must be at least {bound}")
    if flags.image_size > LARGEST_IMAGE:
        raise UsageError(f"--image-size={flags.image_size}: at most {LARGEST_IMAGE} pixels a side")
    if flags.seed >= 2**31:
        raise UsageError(f"--seed={flags.seed}: must be below 2³¹")
    if flags.processes is not None and flags.processes < 1:
        raise UsageError(f"--processes={flags.processes}: must be at least 1")
