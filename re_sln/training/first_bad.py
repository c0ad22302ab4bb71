"""The first step whose loss was not finite, kept on the device: to ask at every step would make a GPU wait."""

from __future__ import annotations

import torch
from torch import Tensor


class FirstBad:
    """What is known of the steps of this process; everything is written in place, so a step can be captured."""

    def __init__(self, device: torch.device) -> None:
        self.step = torch.zeros((), dtype=torch.int64, device=device)  # steps done
        self.never = torch.full_like(self.step, torch.iinfo(torch.int64).max)
        self.first = self.never.clone()

    def look(self, losses: Tensor) -> None:
        """After each step; losses: [b]."""
        self.step += 1
        # Not `where` with a number: torch would copy that from the host.
        bad = torch.where(torch.isfinite(losses).all(), self.never, self.step)
        torch.minimum(self.first, bad, out=self.first)

    def found(self, world_size: int) -> int | None:
        """The first bad step of all processes, which must ask at once; None where there is none."""
        first = self.first.clone()
        if world_size > 1:
            torch.distributed.all_reduce(first, torch.distributed.ReduceOp.MIN)
        return None if first.equal(self.never) else int(first)
