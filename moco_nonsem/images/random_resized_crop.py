"""Random resized crops as torchvision draws them, and their cutting and scaling in bytes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional

RATIO = (3 / 4, 4 / 3)
ATTEMPTS = 10


class Box(NamedTuple):
    """A window of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int


class Shares(NamedTuple):
    """A window in terms of any image: share of its area, width / height, and where it lies in the free room, 0…1."""

    area: float
    ratio: float
    down: float
    right: float


def draw_crop(rng: np.random.Generator, height: int, width: int, scale: tuple[float, float]) -> tuple[Box, Shares]:
    """The window of an image of height × width, of `scale` of its area and 3/4 to 4/3 times as wide as high.

    As torchvision's RandomResizedCrop: area uniform, logarithm of the ratio uniform; what does not fit is drawn again,
    up to ten times, then the middle is taken. A place is drawn once there is a size.
    """
    low, high = (math.log(bound) for bound in RATIO)
    for _ in range(ATTEMPTS):
        area = scale[0] + (scale[1] - scale[0]) * rng.random()
        ratio = math.exp(low + (high - low) * rng.random())
        box_height, box_width = _size(area, ratio, height, width)
        if 0 < box_height <= height and 0 < box_width <= width:
            shares = Shares(area, ratio, rng.random(), rng.random())
            return place(shares, height, width), shares
    return _middle(height, width)


def place(shares: Shares, height: int, width: int) -> Box:
    """The window of these shares in an image of height × width; a side that would be too long is cut to the image's."""
    box_height, box_width = _size(shares.area, shares.ratio, height, width)
    box_height, box_width = min(max(box_height, 1), height), min(max(box_width, 1), width)
    top = math.floor(shares.down * (height - box_height + 1))
    left = math.floor(shares.right * (width - box_width + 1))
    return Box(top, left, box_height, box_width)


def crop_and_resize(image: Tensor, box: Box, size: int) -> Tensor:
    """Cuts a window and scales it, bilinear with antialias. Uint8 [3, H, W] → uint8 [3, size, size].

    Differs by one level of 255 at most from Pillow's scaling of the same window.
    """
    window = image[:, box.top : box.top + box.height, box.left : box.left + box.width]
    if window.device.type == "cpu":
        return functional.interpolate(window[None], (size, size), mode="bilinear", antialias=True)[0]
    # A GPU scales no bytes with antialias.
    scaled = functional.interpolate(window[None].float(), (size, size), mode="bilinear", antialias=True)[0]
    return scaled.round_().byte()


def _size(area: float, ratio: float, height: int, width: int) -> tuple[int, int]:
    pixels = area * height * width
    return round(math.sqrt(pixels / ratio)), round(math.sqrt(pixels * ratio))


def _middle(height: int, width: int) -> tuple[Box, Shares]:
    ratio = min(max(width / height, RATIO[0]), RATIO[1])
    box_height, box_width = min(height, round(width / ratio)), min(width, round(height * ratio))
    box = Box((height - box_height) // 2, (width - box_width) // 2, box_height, box_width)
    return box, Shares(box_height * box_width / (height * width), ratio, 0.5, 0.5)
