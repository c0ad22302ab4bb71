"""Training batches from image files, as `ieg.datasets.batches` makes them from images in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from common.random_streams import generator
from ieg.augmentation.weak import normalize
from ieg.datasets.batches import BatchSource
from ieg.datasets.image_files import Decoder, draw_strong, draw_weak, strong_image, weak_image

CHUNK = 256  # images decoded at once for the queue


@dataclass(frozen=True, kw_only=True)
class FileBatchSource(BatchSource):
    """From image files.

    Args:
        files: str [N]; an image's place among them is its id.
        size: side of the images in pixels.
        encoded_probes: probe images, in the order of the split's probe_index.
    """

    files: np.ndarray
    size: int = 224
    encoded_probes: tuple[bytes, ...] = field(default=(), repr=False)

    @cached_property
    def weak_decoder(self) -> Decoder:
        """Random crop and flip."""
        return Decoder(weak_image, self.size)

    @cached_property
    def strong_decoder(self) -> Decoder:
        """The strong copy: its crop and flip are not those of the image it is a copy of."""
        return Decoder(strong_image, self.size)

    def training_images(self, step: int, index: np.ndarray) -> dict[str, np.ndarray]:
        """As `BatchSource` says."""
        files, count, random = {"file": self.files[index]}, len(index), generator(self.seed, "strong", step)
        draws = draw_weak(generator(self.seed, "weak", step), count)
        batch = {"images": self.decoded(self.weak_decoder, files | draws)}
        if self.aug_type == "default":
            batch["strong_images"] = self.decoded(self.weak_decoder, files | draw_weak(random, count))
        elif self.aug_type:
            batch["strong_images"] = self.decoded(self.strong_decoder, files | draw_strong(random, count))
        return batch

    def probe_images(self, step: int, positions: np.ndarray) -> np.ndarray:
        """As `BatchSource` says."""
        encoded = {"encoded": np.array([self.encoded_probes[position] for position in positions], object)}
        return self.decoded(self.weak_decoder, encoded | draw_weak(generator(self.seed, "probe", step), len(positions)))

    def weak_images(self, purpose: str, key: int, index: np.ndarray) -> Iterator[np.ndarray]:
        """As `BatchSource` says."""
        elements = {"file": self.files[index], **draw_weak(generator(self.seed, purpose, key), len(index))}
        for start in range(0, len(index), CHUNK):
            yield self.weak_decoder({name: values[start : start + CHUNK] for name, values in elements.items()})

    @property
    def byte_values(self) -> np.ndarray:
        """As `BatchSource` says."""
        return normalize(np.arange(256, dtype=np.uint8))

    def decoded(self, decoder: Decoder, elements: Mapping[str, np.ndarray]) -> np.ndarray:
        """The images of `rows`, in their places."""
        of_these_replicas = {name: values[self.rows] for name, values in elements.items()}
        return self.placed(decoder(of_these_replicas), len(next(iter(elements.values()))))
