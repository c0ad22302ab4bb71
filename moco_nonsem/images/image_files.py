"""Decoding image files, and finding those that cannot be before training meets them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image, read_file

from common.errors import UnreadableImage
from common.progress import tqdm
from common.storage import image_files

GIF = b"GIF"  # torchvision writes past its memory where a frame lies outside the picture, which Pillow then widens


def decode(path: Path) -> Tensor:
    """A file as uint8 [3, H, W], RGB. Raises: UnreadableImage naming it.

    For files that `unreadable` has seen: torchvision would try for minutes to fill the pixels that a header claims.
    """
    try:
        content = read_file(str(path))
        if bytes(content[:3].tolist()) != GIF:
            image = decode_image(content, ImageReadMode.RGB)
            if image.ndim == 3 and image.dtype == torch.uint8:  # not so of 16 bits
                return image
    except (RuntimeError, ValueError):  # what torchvision does not read, Pillow may
        pass
    return torch.from_numpy(np.array(open_rgb(path))).permute(2, 0, 1)


def open_rgb(path: Path) -> Image.Image:
    """A file as Pillow reads it, RGB. Raises: UnreadableImage naming it."""
    try:
        return image_files.open_rgb(path)
    except UnreadableImage as error:
        raise UnreadableImage(f"{error}, or use --skip-unreadable") from error


def unreadable(paths: Sequence[Path], workers: int) -> list[tuple[Path, str]]:
    """(path, why) of every file that cannot be read to its end, in the order of `paths`."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        whys = pool.map(image_files.why_unreadable, paths)
        reasons = tqdm(whys, "checking images", len(paths), unit="image", disable=None, leave=False)
        return [(path, why) for path, why in zip(paths, reasons, strict=True) if why]
