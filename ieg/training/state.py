"""Everything a training run changes, as variables on every replica and as plain arrays for the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from ieg.methods.fsr_memory import Memory

BYTES = {np.dtype(np.uint8), np.dtype(np.float16)}  # which of them the queue's images are depends on the devices


class TrainState:
    """Variables {name: tf.Variable}: weights, momentum accumulators, EMA, and moving batch-norm statistics.

    Create it inside `strategy.scope()` so that every replica holds a copy. memory: what fsr remembers besides.
    """

    def __init__(self, network, seed: int, memory: Memory | None = None):
        self.memory = memory
        start = network.initialize(seed)
        self.parameters = {name: variable(value, name) for name, value in start.items()}
        self.momentum = {name: variable(tf.zeros_like(value), f"{name}/momentum") for name, value in start.items()}
        self.ema = {name: variable(value, f"{name}/ema") for name, value in start.items()}
        self.moving = {
            name: (variable(tf.zeros([width]), f"{name}/mean"), variable(tf.ones([width]), f"{name}/variance"))
            for name, width in network.batch_norms.items()
        }

    def variables(self) -> dict[str, tf.Variable]:
        """All of them under the names they have in a checkpoint."""
        named = {
            f"{group}:{name}": value
            for group in ("parameters", "momentum", "ema")
            for name, value in getattr(self, group).items()
        }
        for name, (mean, variance) in self.moving.items():
            named |= {f"moving_mean:{name}": mean, f"moving_variance:{name}": variance}
        # DEVIATION: the authors' program loses scores and queue when it resumes; here they are part of the checkpoint.
        return named if self.memory is None else named | self.memory.variables()

    def arrays(self) -> dict[str, np.ndarray]:
        """{name: array} of everything, for a checkpoint."""
        return {name: value.numpy() for name, value in self.variables().items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Raises: KeyError or ValueError where names, shapes or types are not this network's."""
        variables = self.variables()
        for name, value in variables.items():
            array, dtype = arrays[name], np.dtype(value.dtype.as_numpy_dtype)
            if array.shape != tuple(value.shape) or (array.dtype != dtype and {array.dtype, dtype} != BYTES):
                raise ValueError(
                    f"{name} is {array.dtype} {array.shape} instead of {value.dtype.name} {tuple(value.shape)}"
                )
        for name, value in variables.items():
            value.assign(arrays[name].astype(value.dtype.as_numpy_dtype, copy=False))


def variable(value, name: str) -> tf.Variable:
    """A variable that no tape watches unasked."""
    return tf.Variable(value, trainable=False, name=name.replace("/", "_"))
