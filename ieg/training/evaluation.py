"""Accuracy on the test set: every image, whatever the batch size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from ieg.datasets.test_set import TestSet
from ieg.devices.distribution import distribute
from ieg.training.state import TrainState


class Evaluator:
    """Counts right predictions on a test set, split over the replicas of `strategy`; batch_size is per replica."""

    def __init__(self, strategy, network, test_set: TestSet, batch_size: int):
        self.strategy, self.network, self.test_set, self.batch_size = strategy, network, test_set, batch_size

    def accuracy(self, state: TrainState, averaged: bool = False) -> float:
        """Share of the test images classified right, in [0,1], by the weights of `state` or by their average."""
        # DEVIATION: the accuracy that the authors log lacks one batch; here every image counts.
        right, size = 0, self.batch_size * self.strategy.num_replicas_in_sync
        for images, labels in self.test_set.batches(size):
            missing = size - len(labels)  # the last batch is filled up with images whose label matches nothing
            batch = {
                "images": np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)]),
                "labels": np.concatenate([labels, np.full(missing, -1)]).astype(np.int32),
            }
            right += int(self.count(distribute(self.strategy, batch), state, averaged))
        return right / len(self.test_set.labels)

    @tf.function(autograph=False)
    def count(self, batch, state, averaged):
        """Right predictions on one batch, over all replicas: int scalar."""
        # No variable is an argument: of several devices' tf.function would take any other of its shape for the same.
        weights = state.ema if averaged else state.parameters

        def on_replica(images, labels):
            values = {name: value.read_value() for name, value in weights.items()}
            moving = {name: (mean.read_value(), other.read_value()) for name, (mean, other) in state.moving.items()}
            predictions = tf.argmax(self.network.predict(values, moving, images), 1, tf.int32)
            return tf.reduce_sum(tf.cast(predictions == labels, tf.int32))

        counts = self.strategy.run(on_replica, (batch["images"], batch["labels"]))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, counts, axis=None)


def accuracies(evaluators: Mapping[str, Evaluator], state: TrainState, use_ema: bool) -> dict[str, float]:
    """`acc/eval` of the weights and `acc/ema_eval` of their average, on a second test set `acc/eval_<its name>`, …"""
    values = {}
    for name, evaluator in evaluators.items():
        suffix = f"_{name}" if name else ""
        values[f"acc/eval{suffix}"] = evaluator.accuracy(state)
        if use_ema:
            values[f"acc/ema_eval{suffix}"] = evaluator.accuracy(state, averaged=True)
    return values


def scores_of(values: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """`accuracy` (of the average where there is one) and `accuracy_raw`; of a second test set `accuracy_<its name>`…"""
    scores = {}
    for name in names:
        suffix = f"_{name}" if name else ""
        raw = values[f"acc/eval{suffix}"]
        scores[f"accuracy{suffix}"] = values.get(f"acc/ema_eval{suffix}", raw)
        scores[f"accuracy{suffix}_raw"] = raw
    return scores
