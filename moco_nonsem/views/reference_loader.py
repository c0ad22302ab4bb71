"""`--loader reference`: the views of one image after the other with torchvision's transforms on Pillow images.

What the authors' loader does, and what the batched views are compared with; only its random numbers are keyed by
(seed, epoch, example).
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms

from common.errors import UserError
from common.random_streams import generator
from moco_nonsem.images.image_files import open_rgb
from moco_nonsem.images.image_tree import ImageTree
from moco_nonsem.images.normalisation import MEAN, STD
from moco_nonsem.images.workers import Unreadable
from moco_nonsem.views.make_views import Views
from moco_nonsem.views.patch_view import tiles
from moco_nonsem.views.view_recipe import ViewRecipe


class PillowBlur:
    """Pillow's Gaussian blur with σ uniform in a range, from torch's generator."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, image: Image.Image) -> Image.Image:
        """The blurred image."""
        return image.filter(ImageFilter.GaussianBlur(torch.empty(1).uniform_(self.low, self.high).item()))


def reference_transform(size: int, aug_plus: bool) -> transforms.Compose:
    """MoCo v2's augmentation (aug_plus) or v1's: Pillow image → float32 [3, size, size], normalised."""
    crop = transforms.RandomResizedCrop(size, scale=(0.2, 1.0))
    gray = transforms.RandomGrayscale(p=0.2)
    if aug_plus:
        jitter = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8)
        colors = [jitter, gray, transforms.RandomApply([PillowBlur(0.1, 2.0)], p=0.5)]
    else:
        colors = [gray, transforms.ColorJitter(0.4, 0.4, 0.4, 0.4)]
    last = [transforms.RandomHorizontalFlip(), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    return transforms.Compose([crop, *colors, *last])


def reference_patch_view(image: Tensor, smallest: int, largest: int) -> Tensor:
    """Patches of one image, cut out one by one and put together; [C, H, W] → the same shape."""
    height, width = image.shape[1:]
    size = int(torch.randint(smallest, largest + 1, ()))
    rows = []
    for _ in range(tiles(height, size)):
        row = []
        for _ in range(tiles(width, size)):
            top, left = int(torch.randint(0, height - size, ())), int(torch.randint(0, width - size, ()))
            row.append(image[:, top : top + size, left : left + size])
        rows.append(torch.cat(row, 2))
    return torch.cat(rows, 1)[:, :height, :width].contiguous()


class ReferenceBatches(Dataset):
    """`Views` on the host by (epoch, int64 [B] places in the tree), or `Unreadable`."""

    def __init__(self, tree: ImageTree, recipe: ViewRecipe, seed: int) -> None:
        self.tree, self.recipe, self.seed = tree, recipe, seed
        self.transform = reference_transform(recipe.size, recipe.aug_plus)

    def __getitem__(self, item: tuple[int, np.ndarray]) -> Views | Unreadable:
        epoch, examples = item
        try:
            with torch.random.fork_rng(devices=[]):
                images = [self._views(epoch, example) for example in examples.tolist()]
        except UserError as error:
            return Unreadable(str(error))
        query, key, *nonsem = (torch.stack(view) for view in zip(*images, strict=True))
        return Views(query, key, nonsem, examples)

    def _views(self, epoch: int, example: int) -> list[Tensor]:
        """Query, key and non-semantic views of one image, [3, size, size] each."""
        image = open_rgb(self.tree.paths[example])
        # DEVIATION: the authors draw from each worker's global generators, so that no epoch can be repeated; here draws
        # are keyed by (seed, epoch, example).
        seeds = generator(self.seed, "reference", epoch, example).integers(2**63, size=3).tolist()
        views = []
        for seed in seeds[:2]:
            torch.manual_seed(seed)
            views.append(self.transform(image))
        if self.recipe.robust == "texture" and self.tree.textures is not None:
            torch.manual_seed(seeds[0])  # the query's
            views.append(self.transform(open_rgb(self.tree.textures[example])))
        torch.manual_seed(seeds[2])
        patches = [reference_patch_view(views[0], *self.recipe.patch_ratio) for _ in range(self.recipe.patch_views)]
        return views + patches
