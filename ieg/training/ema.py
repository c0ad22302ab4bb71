"""Exponential moving average of the weights, whose predictions the papers report."""

from __future__ import annotations


def ema_decay(step: int, ceiling: float = 0.999) -> float:
    """d(t) = min(0.999, (1 + t)/(10 + t)): short memory at the start, so that the initial weights are forgotten."""
    return min(ceiling, (1 + step) / (10 + step))


def ema_update(average, value, decay):
    """d·average + (1 − d)·value. Args: tensors of one shape; decay d in [0,1]: 0 copies value, 1 keeps the average."""
    return decay * average + (1 - decay) * value
