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
from tqdm import tqdm

from common.errors import UsageError

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def decode(path: Path) -> Tensor:
    """A file as uint8 [3, H, W], RGB. Raises: UsageError naming it."""
    try:
        return decode_image(read_file(str(path)), ImageReadMode.RGB)
    except RuntimeError:  # what torchvision does not read, Pillow may
        return torch.from_numpy(np.array(open_rgb(path))).permute(2, 0, 1)


def open_rgb(path: Path) -> Image.Image:
    """A file as Pillow reads it, RGB. Raises: UsageError naming it."""
    try:
        with Image.open(path) as file:
            return file.convert("RGB")
    except UNREADABLE as error:
        raise UsageError(
            f"{path} cannot be read as an image ({error}); unpack the archive again, move the file away, or use "
            "--skip-unreadable"
        ) from error


def unreadable(paths: Sequence[Path], workers: int) -> list[tuple[Path, str]]:
    """(path, why) of every file that cannot be read to its end, in the order of `paths`."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        found = tqdm(pool.map(_why_not, paths), "checking images", len(paths), unit="image", disable=None, leave=False)
        return [(path, why) for path, why in zip(paths, found, strict=True) if why]


def _why_not(path: Path) -> str:
    try:
        with Image.open(path) as file:
            file.draft("RGB", (1, 1))  # a JPEG is read to its end all the same, but not at its full size
            file.load()
    except UNREADABLE as error:
        return str(error) or type(error).__name__
    return ""
