import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from re_sln.images.augmentation import crop_and_flip, draw_crops, offsets

# Above this a fair draw lies once in 10,000 times, by degrees of freedom.
CHI_SQUARE = {1: 15.1, 8: 31.8, 80: 137.5}


def chi_square(counts, shares):
    expected = np.asarray(shares) * sum(counts)
    return ((np.asarray(counts) - expected) ** 2 / expected).sum()


def test_cuts_and_mirrors_as_pil_does_image_by_image():
    rng = np.random.default_rng(4)
    images = rng.integers(0, 256, (9, 32, 30, 3)).astype(np.uint8)
    padded = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0)))
    index, flips = rng.integers(0, 9, 50), rng.random(50) < 0.5
    rows, columns = rng.integers(0, 40 - 24 + 1, 50), rng.integers(0, 38 - 24 + 1, 50)
    cut = crop_and_flip(*map(torch.from_numpy, (padded, index, rows, columns, flips)), 24)
    assert (cut.dtype, cut.shape) == (torch.uint8, (50, 24, 24, 3))
    for k in range(50):
        image = ImageOps.expand(Image.fromarray(images[index[k]]), 4, fill=0)
        image = image.crop((columns[k], rows[k], columns[k] + 24, rows[k] + 24))
        np.testing.assert_array_equal(cut[k], np.asarray(ImageOps.mirror(image) if flips[k] else image))


def test_offsets_are_0_to_8_and_flips_half_each_equally_often():
    """As torchvision's RandomCrop(32, padding=4) and RandomHorizontalFlip: every draw as likely, all independent."""
    crops = draw_crops(123, "crops", 1, 100_000)
    rows, columns = offsets(crops.rows, 8), offsets(crops.columns, 8)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (0, 8, 0, 8)
    ninth = np.full(9, 1 / 9)
    assert chi_square(np.bincount(rows), ninth) < CHI_SQUARE[8]
    assert chi_square(np.bincount(columns), ninth) < CHI_SQUARE[8]
    assert chi_square(np.bincount(crops.flips.astype(int)), [0.5, 0.5]) < CHI_SQUARE[1]
    assert chi_square(np.bincount(rows * 9 + columns, minlength=81), np.full(81, 1 / 81)) < CHI_SQUARE[80]
    for offset in (rows, columns):
        assert chi_square(np.bincount(offset * 2 + crops.flips, minlength=18), np.full(18, 1 / 18)) < 45  # 17 degrees


@pytest.mark.parametrize("room, shares, expected", [(8, [0, 0.1111, 0.1112, 0.9999999], [0, 0, 1, 8]), (0, [0.7], [0])])
def test_offsets(room, shares, expected):
    assert offsets(np.array(shares), room).tolist() == expected


def test_draws_are_keyed_by_seed_purpose_epoch_and_example():
    def rows(*key):
        return draw_crops(*key).rows.tolist()

    base = rows(1, "crops", 1, 50)
    assert rows(1, "crops", 1, 50) == base
    others = [rows(2, "crops", 1, 50), rows(1, "score", 1, 50), rows(1, "crops", 2, 50)]
    assert all(other[k] != base[k] for other in others for k in range(50))
