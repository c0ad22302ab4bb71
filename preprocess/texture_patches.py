"""The two patches of a photograph that a texture is made from."""

from __future__ import annotations

import numpy as np
from PIL import Image

PATCH = 96


def enlarged(image: Image.Image, least: int = PATCH) -> Image.Image:
    """The image, or where a side is shorter than `least` the image scaled up (bicubic) until it is `least` long."""
    short = min(image.size)
    if short >= least:
        return image
    width, height = (max(least, round(side * least / short)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def two_patches(photograph: np.ndarray, random: np.random.Generator, patch: int = PATCH) -> np.ndarray:
    """One patch from the centre and one from a uniform random place (arXiv 2110.14189, texture-based negatives).

    Args: photograph uint8 [H, W, 3], both sides at least `patch`. Returns: uint8 [2, patch, patch, 3].
    """
    room_y, room_x = photograph.shape[0] - patch, photograph.shape[1] - patch
    corners = [(room_y // 2, room_x // 2), (int(random.integers(room_y + 1)), int(random.integers(room_x + 1)))]
    return np.stack([photograph[y : y + patch, x : x + patch] for y, x in corners])
