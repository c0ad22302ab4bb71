"""Images that worker processes read, for what does not fit on a device: the same crops as `device_images`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional

from common.errors import UnreadableImage
from common.pytorch.readers import batches_of, become_reader, check_room
from common.storage.image_files import open_rgb
from re_sln.images.augmentation import Crops, offsets
from re_sln.images.device_images import Look

Item = tuple[int, float | None, float | None, bool]


class _Cut(Dataset):
    """One image by (index, share of the room above, share to the left, mirrored), None: its middle.

    Gives uint8 [size, size, 3].
    """

    def __init__(self, images: np.ndarray | Sequence[Path], look: Look) -> None:
        self.images, self.look = images, look

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, item: Item) -> Tensor:
        index, row, column, flip = item
        look, image = self.look, self._image(index)
        if look.resize:
            image = functional.resize(image, look.resize)
        if look.padding:
            image = functional.pad(image, look.padding)
        if row is None or column is None:
            return torch.from_numpy(np.array(functional.center_crop(image, look.size)))
        top = int(offsets(np.array(row), image.height - look.size))
        left = int(offsets(np.array(column), image.width - look.size))
        image = functional.crop(image, top, left, look.size, look.size)
        if flip:
            image = functional.hflip(image)
        return torch.from_numpy(np.array(image))

    def _image(self, index: int) -> Image.Image:
        if isinstance(self.images, np.ndarray):
            return Image.fromarray(self.images[index])
        return open_rgb(self.images[index])


class LoaderImages:
    """Images as an array, uint8 [N, H, W, 3], or as files, read by `workers` processes.

    processes: that train on this machine and read as this one does.
    """

    def __init__(
        self,
        images: np.ndarray | Sequence[Path],
        look: Look,
        device: torch.device,
        workers: int,
        processes: int = 1,
    ) -> None:
        self.look, self.device, self.workers, self.processes = look, device, workers, processes
        self.cut, self.normalise = _Cut(images, look), look.normaliser(device)

    def batches(self, indices: Sequence[np.ndarray], crops: Crops | None) -> Iterator[Tensor]:
        """Float32 [B, 3, size, size] for each array of indices; without crops the middle of each image.

        Raises: UnreadableImage naming a file; ProcessLost; WorkFailed where shared memory has no room.
        """
        plan: list[list[Item]] = [
            [
                (i, crops.rows[i], crops.columns[i], bool(crops.flips[i])) if crops else (i, None, None, False)
                for i in index.tolist()
            ]
            for index in indices
        ]
        if plan and plan[0]:
            one = torch.empty(self.look.size, self.look.size, 3, dtype=torch.uint8)
            check_room(one, max(map(len, plan)), self.workers, self.processes, "--workers=0")
        loader = DataLoader(
            self.cut,
            batch_sampler=plan,
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=become_reader,
            multiprocessing_context="fork" if self.workers else None,
        )
        try:
            for images in batches_of(loader):
                yield self.normalise(images.to(self.device, non_blocking=True))
        except UnreadableImage as error:
            # It comes from a worker, with that one's whole traceback as its message.
            raise UnreadableImage(str(error).rpartition(f"{UnreadableImage.__name__}: ")[2].strip()) from None
