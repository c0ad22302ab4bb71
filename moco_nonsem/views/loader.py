"""Batches of views: worker processes decode and crop; the GPU does the rest, or they do where there is none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.errors import UsageError, UserError
from common.random_streams import generator
from moco_nonsem.images.image_files import decode
from moco_nonsem.images.image_tree import ImageTree
from moco_nonsem.images.random_resized_crop import Box, crop_and_resize, place
from moco_nonsem.images.workers import Reading, Unreadable, read
from moco_nonsem.views.make_views import DecodedBatch, Views, make_views
from moco_nonsem.views.patch_view import PatchDraws, draw_patches
from moco_nonsem.views.reference_loader import ReferenceBatches
from moco_nonsem.views.view_draws import ViewDraw, color_draws, draw_view
from moco_nonsem.views.view_recipe import ViewRecipe

VIEWS = ("query", "key")


class ViewLoader:
    """The views of an epoch, batch by batch; the last partial batch is dropped.

    Raises: UsageError for an impossible recipe, a set smaller than a batch.
    """

    def __init__(self, tree: ImageTree, recipe: ViewRecipe, reading: Reading) -> None:
        recipe.check()
        if reading.kind == "reference" and recipe.robust == "texture" and recipe.texture_draw == "aligned":
            raise UsageError("--texture-draw=aligned: torchvision's transforms cannot do that; use --loader=device")
        if len(tree) < reading.batch_size:
            raise UsageError(
                f"{len(tree)} training images make no batch of {reading.batch_size}; use a smaller --batch-size"
            )
        self.tree, self.recipe, self.reading = tree, recipe, reading

    @property
    def batches_per_epoch(self) -> int:
        """Whole batches of a pass over the images."""
        return len(self.tree) // self.reading.batch_size

    def batches(self, epoch: int, start_batch: int = 0) -> Iterator[Views]:
        """Views of this process's part of batch `start_batch` (from 0) and of those after it, on the device.

        Raises: UsageError naming a file that cannot be read.
        """
        reading, recipe = self.reading, self.recipe
        order = generator(reading.seed, "order", epoch).permutation(len(self.tree))
        batches = order[: self.batches_per_epoch * reading.batch_size].reshape(-1, reading.batch_size)
        plan = [(epoch, batch[reading.group.share(len(batch))]) for batch in batches[start_batch:]]
        for batch in read(self._source(), plan, reading):
            decoded = isinstance(batch, DecodedBatch)
            yield make_views(batch, recipe, reading.group.device) if decoded else batch.to(reading.group.device)

    def _source(self) -> Dataset:
        arguments = (self.tree, self.recipe, self.reading.seed)
        if self.reading.kind == "reference":
            return ReferenceBatches(*arguments)
        return FinishedViews(*arguments) if self.reading.group.device.type == "cpu" else DecodedBatches(*arguments)


class DecodedBatches(Dataset):
    """A `DecodedBatch` by (epoch, int64 [B] places in the tree), or `Unreadable`."""

    def __init__(self, tree: ImageTree, recipe: ViewRecipe, seed: int) -> None:
        self.tree, self.recipe, self.seed = tree, recipe, seed

    def __getitem__(self, item: tuple[int, np.ndarray]) -> DecodedBatch | Unreadable:
        epoch, examples = item
        recipe = self.recipe
        views = 3 if recipe.robust == "texture" else 2
        crops = torch.empty((len(examples), views, 3, recipe.size, recipe.size), dtype=torch.uint8)
        draws: list[list[ViewDraw]] = [[] for _ in range(views)]
        try:
            for row, example in enumerate(examples.tolist()):
                for view, (image, box, draw) in enumerate(self._views(epoch, example)):
                    crop = crop_and_resize(image, box, recipe.size)
                    crops[row, view] = crop.flip(2) if draw.flip else crop
                    draws[view].append(draw)
        except UserError as error:
            return Unreadable(str(error))
        colors = [color_draws(of_view) for of_view in draws]
        return DecodedBatch(crops, colors, self._patches(epoch, examples), examples)

    def _views(self, epoch: int, example: int) -> Iterator[tuple[Tensor, Box, ViewDraw]]:
        """(image, window, draw) of query, key and texture; images are uint8 [3, H, W]."""
        image = decode(self.tree.paths[example])
        query, key = (self._draw(image, name, epoch, example) for name in VIEWS)
        yield image, query.box, query
        yield image, key.box, key
        if self.recipe.robust == "texture" and self.tree.textures is not None:
            texture = decode(self.tree.textures[example])
            if self.recipe.texture_draw == "aligned":
                yield texture, place(query.shares, *texture.shape[1:]), query
            else:
                draw = self._draw(texture, VIEWS[0], epoch, example)
                yield texture, draw.box, draw

    def _draw(self, image: Tensor, view: str, epoch: int, example: int) -> ViewDraw:
        height, width = image.shape[1:]
        return draw_view(generator(self.seed, view, epoch, example), height, width, self.recipe.aug_plus)

    def _patches(self, epoch: int, examples: np.ndarray) -> list[PatchDraws]:
        size, count = self.recipe.size, self.recipe.patch_views
        if not count:
            return []
        return patches_of_examples(self.seed, epoch, examples, count, size, self.recipe.patch_ratio)


class FinishedViews(DecodedBatches):
    """`Views` by (epoch, places), or `Unreadable`: for training on a CPU, where workers are as near to the cores.

    They need not wait for one another then, as threads do that share every small operation.
    """

    def __getitem__(self, item: tuple[int, np.ndarray]) -> Views | Unreadable:  # type: ignore[override]
        batch = super().__getitem__(item)
        return batch if isinstance(batch, Unreadable) else make_views(batch, self.recipe, torch.device("cpu"))


def patches_of_examples(
    seed: int, epoch: int, examples: np.ndarray, views: int, size: int, ratio: tuple[int, int]
) -> list[PatchDraws]:
    """The draws of each of `views` patch views of these examples, each keyed by (seed, epoch, example)."""
    draws = [draw_patches(generator(seed, "patch", epoch, int(i)), views, size, size, *ratio) for i in examples]
    sizes, tops, lefts = (
        np.stack([getattr(draw, name) for draw in draws], 1) for name in ("sizes", "tops", "lefts")
    )  # [S, B], [S, B, R, C] twice
    return [PatchDraws(*parts) for parts in zip(sizes, tops, lefts, strict=True)]
