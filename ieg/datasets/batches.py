"""The batch of every step as a pure function of (seed, step), and threads that make batches ahead of the step."""

from __future__ import annotations

import collections
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from common.random_streams import generator
from ieg.augmentation.strong import draw_strong, make_strong_copy
from ieg.augmentation.transforms import CIFAR, Transform
from ieg.augmentation.weak import WeakDraws, draw_weak, weak_augment
from ieg.datasets.split import Split


@dataclass(frozen=True, kw_only=True)
class BatchSource(ABC):
    """Training batches; where the images come from is the subclass's.

    Args:
        split: which images train, with which labels, and which are probes.
        batch_size: per replica; replicas: how many replicas share a step.
        aug_type: of the strong copy; None makes none (supervised, L2R).
        probes: whether the method looks at probe images.
        mixup_blocks: K of the MixUp draws; 0 draws none.
        rows: which of a batch's images are made here; those of other machines' replicas stay 0.
    """

    split: Split
    batch_size: int
    seed: int
    replicas: int = 1
    aug_type: str | None = None
    probes: bool = False
    mixup_blocks: int = 0
    rows: slice = field(default_factory=lambda: slice(None))

    @abstractmethod
    def training_images(self, step: int, index: np.ndarray) -> dict[str, np.ndarray]:
        """Images and, with `aug_type`, strong_images of the training set's images `index` [G]: float32 [G,H,W,3]."""

    @abstractmethod
    def probe_images(self, step: int, positions: np.ndarray) -> np.ndarray:
        """The probe images at `positions` [G] of the split's probe_index, weakly augmented: float32 [G,H,W,3]."""

    @abstractmethod
    def weak_images(self, purpose: str, key: int, index: np.ndarray) -> Iterator[np.ndarray]:
        """The training set's images `index` [n] after crop and flip, part by part: float32 [≤n,H,W,3]."""

    @property
    @abstractmethod
    def byte_values(self) -> np.ndarray:
        """float32 [256]: the value in a batch's images that a byte becomes."""

    @property
    def global_batch(self) -> int:
        """Images of one step over all replicas."""
        return self.batch_size * self.replicas

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in the training set; what is left over waits for another epoch."""
        return len(self.split.train_index) // self.global_batch

    def positions(self, step: int) -> np.ndarray:
        """Positions in the split's training set for `step` (0, 1, …): int [global batch], a new order every epoch."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        order = generator(self.seed, "order", epoch).permutation(len(self.split.train_index))
        return order[step_of_epoch * self.global_batch : (step_of_epoch + 1) * self.global_batch]

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Everything `step` trains on, replica after replica along the first axis.

        positions int64 [G] · images float32 [G,H,W,3] in [-1,1] · labels int32 [G] · strong_images ·
        probe_images, probe_labels · MixUp draws of every replica: probe_choice int32 [G], partner int32 [K·G],
        uniform float32 [K·G], the indices counted within the replica.
        """
        positions = self.positions(step)
        batch = {"positions": positions, "labels": self.split.train_labels[positions].astype(np.int32)}
        batch |= self.training_images(step, self.split.train_index[positions])
        if self.probes:  # the next G of the endlessly repeated, class-interleaved probe set
            chosen = np.arange(step * self.global_batch, (step + 1) * self.global_batch) % len(self.split.probe_index)
            batch["probe_images"] = self.probe_images(step, chosen)
            batch["probe_labels"] = self.split.probe_labels[chosen].astype(np.int32)
        return batch | self.mixup_draws(step) if self.mixup_blocks else batch

    def placed(self, images: np.ndarray, count: int) -> np.ndarray:
        """The images of `rows` in their places among `count`, 0 elsewhere."""
        if len(images) == count:
            return images
        batch = np.zeros((count, *images.shape[1:]), images.dtype)
        batch[self.rows] = images
        return batch

    def mixup_draws(self, step: int) -> dict[str, np.ndarray]:
        """MixUp happens within a replica, so every replica draws for itself."""
        drawn: dict[str, list] = {"probe_choice": [], "partner": [], "uniform": []}
        for replica in range(self.replicas):
            random, stack = generator(self.seed, "mixup", step, replica), self.mixup_blocks * self.batch_size
            if self.probes:
                drawn["probe_choice"].append(random.integers(self.batch_size, size=self.batch_size, dtype=np.int32))
            drawn["partner"].append(random.permutation(stack).astype(np.int32))
            drawn["uniform"].append(random.random(stack, dtype=np.float32))
        return {name: np.concatenate(values) for name, values in drawn.items() if values}

    def queue_images(self, positions: np.ndarray, refill: int) -> np.ndarray:
        """Images for the queue of fsr, after crop and flip, drawn anew for every refill: uint8 [n,H,W,3]."""
        lowest, highest = self.byte_values[[0, -1]]
        parts = self.weak_images("queue", refill, self.split.train_index[positions])
        return np.concatenate([np.rint((x - lowest) * (255 / (highest - lowest))).astype(np.uint8) for x in parts])


@dataclass(frozen=True, kw_only=True)
class ArrayBatchSource(BatchSource):
    """From images in memory.

    Args:
        images: uint8 [N,H,W,3], the whole training set in the official order.
        transform: of the images, training and probe alike.
    """

    images: np.ndarray
    transform: Transform = CIFAR

    def training_images(self, step: int, index: np.ndarray) -> dict[str, np.ndarray]:
        """As `BatchSource` says."""
        raw, count = self.images[index[self.rows]], len(index)  # uint8 [own,H,W,3]
        images = self.weak(raw, self.weak_draws("weak", step, count).rows(self.rows))
        batch = {"images": self.placed(images, count)}
        if self.aug_type:
            draws = draw_strong(generator(self.seed, "strong", step), count, self.aug_type).rows(self.rows)
            strong = make_strong_copy(raw, images, draws, self.transform.normalize, self.transform.to_bytes)
            batch["strong_images"] = self.placed(strong, count)
        return batch

    def probe_images(self, step: int, positions: np.ndarray) -> np.ndarray:
        """As `BatchSource` says."""
        draws = self.weak_draws("probe", step, len(positions)).rows(self.rows)
        images = self.weak(self.images[self.split.probe_index[positions[self.rows]]], draws)
        return self.placed(images, len(positions))

    def weak_images(self, purpose: str, key: int, index: np.ndarray) -> Iterator[np.ndarray]:
        """As `BatchSource` says."""
        yield self.weak(self.images[index], self.weak_draws(purpose, key, len(index)))

    @property
    def byte_values(self) -> np.ndarray:
        """As `BatchSource` says."""
        return self.transform.normalize(np.arange(256, dtype=np.uint8))

    def weak_draws(self, purpose: str, key: int, count: int) -> WeakDraws:
        """Draws of crop and flip for `count` images."""
        return draw_weak(generator(self.seed, purpose, key), count, self.transform.pad, self.transform.flips)

    def weak(self, raw: np.ndarray, draws: WeakDraws) -> np.ndarray:
        """Weakly augmented float32 [n,H,W,3] of uint8 [n,H,W,3]."""
        return weak_augment(raw, draws, self.transform.normalize)


def prefetch(
    source: BatchSource, start: int, stop: int, workers: int, depth: int
) -> Generator[dict[str, np.ndarray], None, None]:
    """Batches of steps start…stop−1 in order, `depth` of them prepared ahead on `workers` threads.

    The augmentation runs outside the interpreter lock; since a batch depends on its step alone, threads change nothing.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="batches") as pool:
        pending: collections.deque = collections.deque()
        try:
            for step in range(start, stop):
                pending.append(pool.submit(source.batch, step))
                # DEVIATION: the authors' pipelines silently drop a batch that fails; here it ends the run.
                if len(pending) > depth:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
