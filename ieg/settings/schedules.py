"""Learning rates as pure functions of the step: resuming cannot desynchronise them.

`step` counts finished updates from 0: the update of step k (1, 2, …) uses rate(k − 1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def cosine_restarts(step: float, base: float, first_cycle: float, t_mul: float, m_mul: float) -> float:
    """Cosine decay from the peak to 0, restarted (arXiv 1608.03983): each next cycle ×t_mul longer, its peak ×m_mul.

    Cycle lengths are not rounded. Args: first_cycle in steps, > 0; t_mul ≥ 1.
    """
    start, length, peak = 0.0, float(first_cycle), base
    while step >= start + length:
        start, length, peak = start + length, length * t_mul, peak * m_mul
    return peak * 0.5 * (1 + math.cos(math.pi * (step - start) / length))


def cycle_ends(first_cycle: float, t_mul: float, until: int) -> list[int]:
    """The last step before each restart, 1-based, as far as `until`: where a run's accuracy is read."""
    # DEVIATION: the authors' evaluation steps come from rounded cycle lengths and drift into the next cycle;
    # these do not.
    ends, length, restart = [], float(first_cycle), float(first_cycle)
    while math.ceil(restart) <= until:
        ends.append(math.ceil(restart))
        length *= t_mul
        restart += length
    return ends


def cosine_one(step: float, base: float, total: float) -> float:
    """One cosine from `base` to 0 over `total` steps, 0 afterwards."""
    return base * 0.5 * (1 + math.cos(math.pi * min(step, total) / total))


def exponential(step: float, base: float, decay_steps: float) -> float:
    """Staircase: ×0.9 every `decay_steps` (the authors' program hard-wires the 0.9)."""
    return base * 0.9 ** (step // decay_steps)


def custom_step(step: float, base: float, decay_steps: Sequence[float], decay_rate: float) -> float:
    """Base · decay_rate^j, j of the `decay_steps` being passed; step s has the lower rate once s ≥ its boundary."""
    return base * decay_rate ** sum(step >= boundary for boundary in decay_steps)


def warmup(step: float, base: float, warmup_steps: float) -> float:
    """Linear from 0 to `base` over `warmup_steps`."""
    return base * step / warmup_steps
