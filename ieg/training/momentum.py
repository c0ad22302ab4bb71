"""TensorFlow 1's momentum, which the papers trained with."""

from __future__ import annotations


def momentum_update(value, accumulator, gradient, momentum: float, learning_rate):
    """M ← μ·m + g;  θ ← θ − lr·m: no Nesterov, the learning rate outside m.

    Keras' SGD keeps −lr·m in its slot instead, which differs as soon as the rate changes, and the look-ahead needs m.
    Returns: new θ, new m.
    """
    accumulator = momentum * accumulator + gradient
    return value - learning_rate * accumulator, accumulator
