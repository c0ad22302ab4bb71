"""The views of a batch, made on the training device: query q, key k and the non-semantic views t.

Workers decode the files and cut, scale and mirror the crops (`loader`); colour, blur, normalisation and patch views are
done here, for a batch at once; on a CPU the workers do that, too. What is drawn for an image depends on (seed, epoch,
example) alone.

    recipe = ViewRecipe(size=224, aug_plus=True, robust="patch", num_nonsem=1, patch_ratio=(16, 72))
    tree = training_tree(Path(data), recipe.robust)                  # <data>/train, or the pair of trees for texture
    tree, described = readable_images(tree, Path(data), "train", skip_unreadable)  # reads every file; before training
    loader = ViewLoader(tree, recipe, Reading(batch_size=128, workers=32, seed=0, group=Group(0, 1, device)))
    for views in loader.batches(epoch, start_batch):                 # loader.batches_per_epoch of them from 0
        views.query, views.key                                       # float32 [B, 3, 224, 224] on the device
        views.nonsem                                                 # list of S such tensors; empty for robust="none"
        views.examples                                               # int64 [B], places in the tree
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from moco_nonsem.images.normalisation import normalise
from moco_nonsem.views.color_jitter import ColorDraws, color_jitter, grayscale
from moco_nonsem.views.gaussian_blur import gaussian_blur
from moco_nonsem.views.masked_apply import apply_to
from moco_nonsem.views.patch_view import PatchDraws, patch_view
from moco_nonsem.views.view_recipe import ViewRecipe

# So many pixels, one image of 224×224, stay in a core's cache from the first operation to the last; a GPU wants all at
# once.
PIXELS_ON_CPU = 224 * 224


class DecodedBatch(NamedTuple):
    """What workers hand over.

    crops: uint8 [B, V, 3, size, size], of query, key and, for robust="texture", the texture; colors: V draws of B
    images; patches: the draws of each of S patch views; examples: int64 [B], places in the tree.
    """

    crops: Tensor
    colors: list[ColorDraws]
    patches: list[PatchDraws]
    examples: np.ndarray


class Views(NamedTuple):
    """Query, key and S non-semantic views, float32 [B, 3, size, size] each, normalised; examples: int64 [B]."""

    query: Tensor
    key: Tensor
    nonsem: list[Tensor]
    examples: np.ndarray

    def to(self, device: torch.device) -> Views:
        """The same on `device`."""
        query, key, *nonsem = (view.to(device, non_blocking=True) for view in (self.query, self.key, *self.nonsem))
        return Views(query, key, nonsem, self.examples)


def make_views(batch: DecodedBatch, recipe: ViewRecipe, device: torch.device) -> Views:
    """Colours, blurs and normalises the crops on `device`, and makes the patch views of the query view."""
    crops = batch.crops.to(device, non_blocking=True)
    query, key, *textures = (augment(crops[:, v], draws, recipe.aug_plus) for v, draws in enumerate(batch.colors))
    return Views(query, key, textures + [patch_view(query, draws) for draws in batch.patches], batch.examples)


def augment(crops: Tensor, draws: ColorDraws, aug_plus: bool) -> Tensor:
    """Uint8 [B, 3, size, size] → float32 [B, 3, size, size], normalised.

    MoCo v2 (aug_plus): colour jitter, grayscale, blur; v1: grayscale, colour jitter.
    """
    # DEVIATION: the authors transform one Pillow image after the other (--loader reference); here a whole batch, to
    # keep a GPU busy. color_jitter, gaussian_blur and random_resized_crop state how the arithmetic differs.
    step = max(1, PIXELS_ON_CPU // crops[0, 0].numel()) if crops.device.type == "cpu" else len(crops)
    views = torch.empty_like(crops, dtype=torch.float32, memory_format=torch.contiguous_format)  # [B, 3, size, size]
    for start in range(0, len(crops), step):
        part = slice(start, start + step)
        _augment(views[part], crops[part], draws.part(part), aug_plus)
    return views


def _augment(views: Tensor, crops: Tensor, draws: ColorDraws, aug_plus: bool) -> None:
    views.copy_(crops)  # 0…255, as Pillow counts
    if aug_plus:
        color_jitter(views, draws)
        apply_to(views, draws.gray, grayscale)
        gaussian_blur(views, draws.sigma)
    else:
        apply_to(views, draws.gray, grayscale)
        color_jitter(views, draws)
    normalise(views)
