"""Images with their labels, for the linear classifier, scores and neighbours: one view each, colours as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from common.errors import UsageError, UserError
from common.pytorch.transfer import to_device
from common.random_streams import generator
from moco_nonsem.images.image_files import decode
from moco_nonsem.images.image_tree import ImageTree
from moco_nonsem.images.normalisation import normalise
from moco_nonsem.images.random_resized_crop import crop_and_resize, draw_crop
from moco_nonsem.images.workers import Reading, Unreadable, read

SCALE = (0.08, 1.0)
RESIZE = 256 / 224  # of the shorter side before the centre crop, in terms of the crop


@dataclass(frozen=True)
class Look:
    """How an image is seen.

    size: of the view in pixels; random: crop of 8-100 % of the area and flip, as in training, else the centre; resize:
    whether the shorter side is brought to 256/224 of `size` before the centre is cut out.
    """

    size: int = 224
    random: bool = False
    resize: bool = True


def random_view(image: Tensor, size: int, rng: np.random.Generator) -> Tensor:
    """A random window, scaled, mirrored in half of the cases. Uint8 [3, H, W] → uint8 [3, size, size]."""
    height, width = image.shape[1:]
    box, _ = draw_crop(rng, height, width, SCALE)
    view = crop_and_resize(image, box, size)
    return view.flip(2) if rng.random() < 0.5 else view


def centre_view(image: Tensor, size: int, resize: bool) -> Tensor:
    """The centre. Uint8 [3, H, W] → uint8 [3, size, size]. Raises: UsageError for an image smaller than that."""
    # DEVIATION: the authors scale with Pillow; torch, which decoded the image, differs by one level of 255 in places.
    if resize:
        short, target = min(image.shape[1:]), round(size * RESIZE)
        sides = [target if side == short else int(target * side / short) for side in image.shape[1:]]
        image = functional.interpolate(image[None], sides, mode="bilinear", antialias=True)[0]
    height, width = image.shape[1:]
    if min(height, width) < size:
        raise UsageError(f"an image of {height}×{width} pixels has no centre of {size}×{size}; give --c-resize")
    top, left = round((height - size) / 2), round((width - size) / 2)
    return image[:, top : top + size, left : left + size]


class LabelledBatches(Dataset):
    """Uint8 [b, 3, size, size] by (epoch, int64 [b] places in the tree), or `Unreadable`."""

    def __init__(self, tree: ImageTree, look: Look, seed: int) -> None:
        self.tree, self.look, self.seed = tree, look, seed

    def __getitem__(self, item: tuple[int, np.ndarray]) -> Tensor | Unreadable:
        epoch, examples = item
        views = torch.empty((len(examples), 3, self.look.size, self.look.size), dtype=torch.uint8)
        try:
            for row, example in enumerate(examples.tolist()):
                views[row] = self._view(decode(self.tree.paths[example]), epoch, example)
        except UserError as error:
            return Unreadable(str(error))
        return views

    def _view(self, image: Tensor, epoch: int, example: int) -> Tensor:
        if self.look.random:
            return random_view(image, self.look.size, generator(self.seed, "labelled crop", epoch, example))
        return centre_view(image, self.look.size, self.look.resize)


def labelled_batches(
    tree: ImageTree, look: Look, batches: Sequence[np.ndarray], reading: Reading, epoch: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """(images, labels) of each of `batches`, int64 [b] places in the tree: float32 [b, 3, size, size], int64 [b].

    On the device of `reading`, normalised. Raises: UsageError naming a file that cannot be read.
    """
    views = read(LabelledBatches(tree, look, reading.seed), [(epoch, batch) for batch in batches], reading)
    for batch, images in zip(batches, views, strict=True):
        images = normalise(images.to(reading.group.device, non_blocking=True).float())
        yield images, to_device(tree.labels[batch], reading.group.device)


def shares_in_order(count: int, reading: Reading) -> list[np.ndarray]:
    """This process's parts of the batches of `count` images, in order, the last batch kept; empty parts left out."""
    batches = np.split(np.arange(count), np.arange(reading.batch_size, count, reading.batch_size))
    return [share for batch in batches if len(share := batch[reading.group.share(len(batch))])]
