"""Accuracy on the test set: every image, whatever the batch size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from ieg.augmentation.weak import normalize


class Evaluator:
    """Counts right predictions on test images, split over the replicas of `strategy`.

    Args: images uint8 [T,H,W,3]; labels int [T]; batch_size per replica.
    """

    def __init__(self, strategy, network, images, labels, batch_size: int):
        self.strategy, self.network = strategy, network
        self.images, self.labels, self.batch_size = images, labels, batch_size

    def accuracy(self, parameters: Mapping, moving: Mapping) -> float:
        """Share of the test images classified right, in [0,1]. parameters, moving: {name: tf.Variable}."""
        # DEVIATION: every image counts; the accuracy the authors log lacks one batch.
        right, size = 0, self.batch_size * self.strategy.num_replicas_in_sync
        for start in range(0, len(self.labels), size):
            images, labels = self.images[start : start + size], self.labels[start : start + size]
            missing = size - len(labels)  # the last batch is filled up with images whose label matches nothing
            batch = {
                "images": normalize(np.concatenate([images, np.zeros_like(self.images[:missing])])),
                "labels": np.concatenate([labels, np.full(missing, -1)]).astype(np.int32),
            }
            right += int(self.count(distribute(self.strategy, batch), parameters, moving))
        return right / len(self.labels)

    @tf.function(autograph=False)
    def count(self, batch, parameters, moving):
        """Right predictions on one batch, over all replicas: int scalar."""

        def on_replica(images, labels):
            values = {name: value.read_value() for name, value in parameters.items()}
            averages = {name: (mean.read_value(), variance.read_value()) for name, (mean, variance) in moving.items()}
            predictions = tf.argmax(self.network.predict(values, averages, images), 1, tf.int32)
            return tf.reduce_sum(tf.cast(predictions == labels, tf.int32))

        counts = self.strategy.run(on_replica, (batch["images"], batch["labels"]))
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, counts, axis=None)


def distribute(strategy, batch: Mapping[str, np.ndarray]) -> dict:
    """Cuts every array [R·n,…] into the n rows of each of the R replicas."""
    count = strategy.num_replicas_in_sync

    def part(array):
        size = len(array) // count
        return strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(array[context.replica_id_in_sync_group * size :][:size])
        )

    return {name: part(array) for name, array in batch.items()}
