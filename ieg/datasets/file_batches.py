"""Training batches from image files, as `ieg.datasets.batches` makes them from images in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from common.random_streams import generator
from ieg.datasets.batches import BatchSource
from ieg.datasets.image_files import Decoder, draw_strong, draw_weak, strong_image, weak_image

CHUNK = 256  # images decoded at once for the queue


@dataclass(frozen=True)
class FileBatchSource(BatchSource):
    """`images` are paths, str [N]; an image's place among them is its id.

    Args:
        size: side of the images in pixels.
        probe_images: encoded probe images, in the order of the split's probe_index.
    """

    size: int = 224
    probe_images: tuple[bytes, ...] = field(default=(), repr=False)

    @cached_property
    def weak_decoder(self) -> Decoder:
        """Random crop and flip."""
        return Decoder(weak_image, self.size)

    @cached_property
    def strong_decoder(self) -> Decoder:
        """The strong copy: its crop and flip are not those of the image it is a copy of."""
        return Decoder(strong_image, self.size)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """As `BatchSource.batch`; the files are read and decoded here."""
        positions = self.positions(step)
        files, count = {"file": self.images[self.split.train_index[positions]]}, len(positions)
        draws = draw_weak(generator(self.seed, "weak", step), count)
        batch = {
            "positions": positions,
            "images": self.decoded(self.weak_decoder, files | draws),
            "labels": self.split.train_labels[positions].astype(np.int32),
        }
        random = generator(self.seed, "strong", step)
        if self.aug_type == "default":
            batch["strong_images"] = self.decoded(self.weak_decoder, files | draw_weak(random, count))
        elif self.aug_type:
            batch["strong_images"] = self.decoded(self.strong_decoder, files | draw_strong(random, count))
        if self.probes:
            batch |= self.probe_batch(step)
        if self.mixup_blocks:
            batch |= self.mixup_draws(step)
        return batch

    def decoded(self, decoder: Decoder, elements: Mapping[str, np.ndarray]) -> np.ndarray:
        """The images of `rows`, in their places."""
        own = {name: values[self.rows] for name, values in elements.items()}
        return self.placed(decoder(own), len(next(iter(elements.values()))))

    def probe_batch(self, step: int) -> dict[str, np.ndarray]:
        """The next G of the endlessly repeated, class-interleaved probe set, weakly augmented."""
        places = np.arange(step * self.global_batch, (step + 1) * self.global_batch) % len(self.split.probe_index)
        encoded = {"encoded": np.array([self.probe_images[place] for place in places], object)}
        draws = draw_weak(generator(self.seed, "probe", step), len(places))
        return {
            "probe_images": self.decoded(self.weak_decoder, encoded | draws),
            "probe_labels": self.split.probe_labels[places].astype(np.int32),
        }

    def queue_images(self, positions: np.ndarray, refill: int) -> np.ndarray:
        """Images for the queue of fsr, after crop and flip, drawn anew for every refill: uint8 [n,H,W,3]."""
        files = self.images[self.split.train_index[positions]]
        draws = draw_weak(generator(self.seed, "queue", refill), len(files))
        images = np.empty((len(files), self.size, self.size, 3), np.uint8)
        for start in range(0, len(files), CHUNK):
            part = slice(start, start + CHUNK)
            values = self.weak_decoder({"file": files[part]} | {name: draw[part] for name, draw in draws.items()})
            images[part] = np.rint((values + 1) * 127.5).astype(np.uint8)
        return images
