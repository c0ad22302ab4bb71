"""How a step moves weights: TensorFlow 1's momentum, and the average whose predictions the papers report."""

from __future__ import annotations


def momentum_update(value, accumulator, gradient, momentum: float, learning_rate):
    """M ← μ·m + g;  θ ← θ − lr·m: no Nesterov, the learning rate outside m.

    Keras' SGD keeps −lr·m in its slot instead, which differs as soon as the rate changes, and the look-ahead needs m.
    Returns: new θ, new m.
    """
    accumulator = momentum * accumulator + gradient
    return value - learning_rate * accumulator, accumulator


def ema_decay(step: int, ceiling: float = 0.999) -> float:
    """d(t) = min(0.999, (1 + t)/(10 + t)): short memory at the start, so that the initial weights are forgotten."""
    return min(ceiling, (1 + step) / (10 + step))


def ema_update(average, value, decay):
    """d·average + (1 − d)·value. Args: tensors of one shape; decay d in [0,1]: 0 copies value, 1 keeps the average."""
    return decay * average + (1 - decay) * value
