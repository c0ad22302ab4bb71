"""The learning rate of an epoch: a pure function, so that a resumed run has the rates of an uninterrupted one."""

from __future__ import annotations

import math
from collections.abc import Sequence


def learning_rate(base: float, epoch: int, epochs: int, schedule: Sequence[int], cosine: bool) -> float:
    """Rate of `epoch` (0 … epochs − 1), constant within it.

    cosine: base·½(1 + cos(π·epoch/epochs)), after SGDR, arXiv 1608.03983, without restarts; otherwise base times 0.1
    for every milestone of `schedule` that is reached.
    """
    if cosine:
        return base * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
    return base * 0.1 ** sum(epoch >= milestone for milestone in schedule)
