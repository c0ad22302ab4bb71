import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import DataError
from data import photograph_patches as patches


def test_a_piece_is_the_mean_of_its_pixels():
    package = importlib.util.find_spec("sklearn")
    assert package is not None and package.origin is not None
    with Image.open(Path(package.origin).parent / "datasets" / "images" / "flower.jpg") as image:
        grey = np.asarray(image.convert("L"), dtype=float)
    ours = patches.photograph_patches(8)
    assert ours.shape == (2080, 8, 8, 3) and ours.dtype == np.uint8
    assert (ours[..., 0] == ours[..., 2]).all()
    for row, column in ((0, 0), (3, 7), (25, 39)):
        piece = ours[1040 + 40 * row + column, ..., 0]
        for y, x in ((0, 0), (2, 5), (7, 7)):
            block = grey[16 * row + 2 * y : 16 * row + 2 * y + 2, 16 * column + 2 * x : 16 * column + 2 * x + 2]
            assert abs(piece[y, x] - block.mean()) <= 0.5


def test_pieces_differ_and_grow():
    assert len({piece.tobytes() for piece in patches.photograph_patches(8)}) > 2000
    assert patches.photograph_patches(20).shape == (2080, 20, 20, 3)


def test_a_photograph_that_cannot_be_read_is_named(monkeypatch):
    monkeypatch.setattr(patches, "PHOTOGRAPHS", ("no.jpg",))
    with pytest.raises(DataError, match=r"no\.jpg, a photograph of scikit-learn, cannot be read"):
        patches.photograph_patches(8)
