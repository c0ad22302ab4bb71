"""Accuracy on the test set: every image, whatever the batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from ieg.augmentation.weak import normalize


class TestSet(Protocol):
    """Labelled images, handed out in order."""

    labels: np.ndarray  # int [T]

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Network inputs float32 [≤size,H,W,3] and labels [≤size]; the last batch may be smaller."""


class ImageArray:
    """A test set in memory. Args: images uint8 [T,H,W,3]; labels int [T]; normalize: bytes to network inputs."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, normalize: Callable = normalize):
        self.images, self.labels, self.normalize = images, labels, normalize

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """As TestSet."""
        for start in range(0, len(self.labels), size):
            yield self.normalize(self.images[start : start + size]), self.labels[start : start + size]


class Evaluator:
    """Counts right predictions on a test set, split over the replicas of `strategy`; batch_size is per replica."""

    def __init__(self, strategy, network, test_set: TestSet, batch_size: int):
        self.strategy, self.network, self.test_set, self.batch_size = strategy, network, test_set, batch_size

    def accuracy(self, parameters: Mapping, moving: Mapping) -> float:
        """Share of the test images classified right, in [0,1]. parameters, moving: {name: tf.Variable}."""
        # DEVIATION: every image counts; the accuracy the authors log lacks one batch.
        right, size = 0, self.batch_size * self.strategy.num_replicas_in_sync
        for images, labels in self.test_set.batches(size):
            missing = size - len(labels)  # the last batch is filled up with images whose label matches nothing
            batch = {
                "images": np.concatenate([images, np.zeros((missing, *images.shape[1:]), images.dtype)]),
                "labels": np.concatenate([labels, np.full(missing, -1)]).astype(np.int32),
            }
            right += int(self.count(distribute(self.strategy, batch), parameters, moving))
        return right / len(self.test_set.labels)

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
