"""Small pieces of the two photographs that scikit-learn carries: images that show no digit, for open-set noise."""

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from common.errors import DataError
from data.digits import enlarge, of_scikit_learn

PHOTOGRAPHS = ("china.jpg", "flower.jpg")
PIECE, SIDE = 16, 8  # pixels of a photograph that become 8, as many as a digit has


def photograph_patches(image_size: int) -> np.ndarray:
    """uint8 [2080, image_size, image_size, 3]: grey pieces of 16×16 pixels, averaged to 8×8 and enlarged as digits are.

    Raises: DataError where scikit-learn or its photographs are missing.
    """
    folder = of_scikit_learn("the photographs") / "images"
    pieces = np.concatenate([_pieces(folder / name) for name in PHOTOGRAPHS])
    return enlarge(pieces / 255, image_size)


def _pieces(path: Path) -> np.ndarray:
    """float64 [N, 8, 8], 0…255: the photograph's whole pieces, row by row."""
    try:
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"), dtype=np.float64)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path}, a photograph of scikit-learn, cannot be read ({error}): install it again.") from error
    rows, columns = grey.shape[0] // PIECE, grey.shape[1] // PIECE
    blocks = grey[: rows * PIECE, : columns * PIECE].reshape(rows, SIDE, PIECE // SIDE, columns, SIDE, PIECE // SIDE)
    return blocks.mean(axis=(2, 5)).transpose(0, 2, 1, 3).reshape(-1, SIDE, SIDE)
