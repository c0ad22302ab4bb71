"""An epoch with all that its steps read laid out on the device before the first one, so that a GPU can replay them.

The step is the trainer's own; it finds its examples by a place that it moves on itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from re_sln.images.device_images import DeviceImages
from re_sln.training.replay import Recorder, Replay, recorder_of

if TYPE_CHECKING:
    from re_sln.training.trainer import Trainer


class CapturedSteps:
    """Steps of a trainer whose images lie on its device."""

    def __init__(self, trainer: Trainer, recorder_of: Callable[[torch.device], Recorder | None] = recorder_of) -> None:
        images, batch_size = trainer.train_images, trainer.config.flags.batch_size
        assert isinstance(images, DeviceImages)  # `resolve` refuses what is read otherwise
        self.trainer, self.images, self.batch_size, self.recorder_of = trainer, images, batch_size, recorder_of
        device, count = images.device, images.count
        self.order = torch.zeros(trainer.epoch_size(), dtype=torch.int64, device=device)
        self.place = torch.zeros((), dtype=torch.int64, device=device)  # in `order`, of the next step's first example
        self.ahead = torch.arange(batch_size, device=device)
        self.rows, self.columns = torch.zeros(2, count, dtype=torch.int64, device=device)
        self.flips = torch.zeros(count, dtype=torch.bool, device=device)
        self.noise = torch.zeros(count, trainer.data.num_classes, device=device)
        self.is_noisy, self.constants = False, (0.0, 0.0)
        self.replays: dict[int, Replay] = {}

    def epoch(self, order: np.ndarray, first: int) -> Iterator[None]:
        """Trains on the examples `order` from place `first` on, and yields after every step."""
        self._lay_out(order, first)
        for start in range(first, len(order), self.batch_size):
            size = min(self.batch_size, len(order) - start)
            if size not in self.replays:
                self.replays[size] = Replay(partial(self._step, size), self.recorder_of(self.images.device))
            self.replays[size]()
            yield

    def _lay_out(self, order: np.ndarray, first: int) -> None:
        config, epoch = self.trainer.config, self.trainer.epoch
        self.order.copy_(torch.from_numpy(order))
        self.place.fill_(first)
        windows = self.images.windows(self.trainer.crops("crops", epoch))
        for buffer, values in zip((self.rows, self.columns, self.flips), windows, strict=True):
            buffer.copy_(torch.from_numpy(values))
        noise = self.trainer.label_noise(epoch)
        self.is_noisy = noise is not None
        if noise is not None:
            self.noise.copy_(noise)
        constants = config.rate(epoch), config.sigma_of(epoch)
        if constants != self.constants:  # these numbers are part of what was captured
            self.replays.clear()
        self.constants = constants

    def _step(self, size: int) -> None:
        index = self.order[self.place + self.ahead[:size]]  # [b]
        images = self.images.cut(index, self.rows[index], self.columns[index], self.flips[index])  # [b, 3, H, W]
        self.trainer.update(images, index, self.noise[index] if self.is_noisy else None, size)
        self.place += size
