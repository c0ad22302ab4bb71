"""One update on every replica: the method's gradients, added up, then momentum, moving averages and EMA."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from ieg.devices.all_gather import all_gather
from ieg.methods.step import Settings, StepResult
from ieg.training.state import TrainState
from ieg.training.updates import ema_update, momentum_update


class TrainStep:
    """Callable (batch, learning rate, EMA decay) -> logs, on every replica of `strategy`.

    Args:
        method: a function of `ieg.methods`.
        momentum: of the optimiser.
        ema_first: average the weights as they are before the update (supervised, L2R) or after it (IEG).
        jit_compile: compile the method with XLA.
    """

    def __init__(
        self,
        strategy,
        network,
        method: Callable[..., StepResult],
        settings: Settings,
        state: TrainState,
        *,
        momentum: float,
        ema_first: bool,
        jit_compile: bool = False,
    ):
        self.strategy, self.network, self.settings, self.state = strategy, network, settings, state
        self.momentum, self.ema_first = momentum, ema_first
        self.method = tf.function(method, jit_compile=True, autograph=False) if jit_compile else method

    @tf.function(autograph=False)  # nothing here branches on data, and source files may change while a run lasts
    def __call__(self, batch, learning_rate, ema_decay):
        """One step on every replica: the logs of each."""
        return self.strategy.run(self.on_replica, (batch, learning_rate, ema_decay))

    def on_replica(self, batch, learning_rate, ema_decay) -> dict[str, tf.Tensor]:
        """Reads every variable once, so that equal computations of different passes are done once."""
        parameters = {name: value.read_value() for name, value in self.state.parameters.items()}
        momentum = {name: value.read_value() for name, value in self.state.momentum.items()}
        memory = self.state.memory
        inputs = batch if memory is None else memory.read(batch)
        result = self.method(self.network, parameters, momentum, inputs, self.settings)
        replicas = self.strategy.num_replicas_in_sync
        gradients = {name: value / replicas for name, value in result.gradients.items()}
        news = None if memory is None else memory.gathered(batch["ids"], result.news)
        tf.distribute.get_replica_context().merge_call(
            self.update, args=(gradients, result.batch_statistics, learning_rate, ema_decay, news)
        )
        logs = {f"loss/{name}": value for name, value in result.losses.items()} | dict(result.extra)
        logs |= {"weights": result.weights, "predictions": tf.argmax(result.logits, 1, output_type=tf.int32)}
        logs |= {f"example/{name}": value for name, value in (result.examples or {}).items()}
        logs |= {} if result.recovered is None else {"recovered": result.recovered}
        return self.join(logs | {"stop": batch["stop"]}) if "stop" in batch else logs

    def join(self, logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Vectors of all replicas joined, scalars averaged: no machine can read another's outputs."""
        context = tf.distribute.get_replica_context()
        mean = tf.distribute.ReduceOp.MEAN
        return {
            name: all_gather(value) if value.shape.rank else context.all_reduce(mean, value)
            for name, value in logs.items()
        }

    def update(self, strategy, gradients, statistics, learning_rate, ema_decay, news) -> None:
        """Sums gradients over replicas, averages batch statistics over them, and assigns."""
        if self.state.memory is not None:
            self.state.memory.write(strategy, news)
        state, reduce = strategy.extended, strategy.extended.batch_reduce_to
        names = list(gradients)
        pairs = [(gradients[name], self.state.parameters[name]) for name in names]
        for name, gradient in zip(names, reduce(tf.distribute.ReduceOp.SUM, pairs), strict=True):
            state.update(
                self.state.parameters[name],
                self.update_parameter,
                group=False,
                args=(self.state.momentum[name], self.state.ema[name], gradient, learning_rate, ema_decay),
            )
        pairs = [
            (new, old)
            for name, both in statistics.items()
            for new, old in zip(both, self.state.moving[name], strict=True)
        ]
        for (_, old), new in zip(pairs, reduce(tf.distribute.ReduceOp.MEAN, pairs), strict=True):
            state.update(
                old,
                lambda average, value: average.assign(ema_update(average, value, self.network.momentum)),
                group=False,
                args=(new,),
            )

    def update_parameter(self, weight, accumulator, average, gradient, learning_rate, ema_decay):
        """Momentum, update and EMA of one tensor."""
        before = weight.read_value()
        after, moved = momentum_update(before, accumulator, gradient, self.momentum, learning_rate)
        average.assign(ema_update(average, before if self.ema_first else after, ema_decay))
        accumulator.assign(moved)
        weight.assign(after)
