"""Patch views: every tile is a piece of its own image at an allowed place; sizes and places are uniform."""

import numpy as np
import pytest
import torch
from scipy import stats

from common.errors import UsageError
from moco_nonsem.views.loader import patches_of_examples
from moco_nonsem.views.patch_view import PatchDraws, draw_patches, gather_tiles, patch_view, tiles
from moco_nonsem.views.reference_loader import reference_patch_view
from moco_nonsem.views.view_recipe import ViewRecipe


def by_hand(image, size, tops, lefts):
    """Patch by patch into a canvas that is too large, then cut."""
    channels, height, width = image.shape
    rows, columns = height // size + 1, width // size + 1
    canvas = image.new_zeros(channels, rows * size, columns * size)
    for i in range(rows):
        for j in range(columns):
            patch = image[:, tops[i, j] : tops[i, j] + size, lefts[i, j] : lefts[i, j] + size]
            canvas[:, i * size : (i + 1) * size, j * size : (j + 1) * size] = patch
    return canvas[:, :height, :width]


@pytest.mark.parametrize(
    "height, width, low, high", [(37, 52, 1, 36), (32, 32, 4, 16), (224, 224, 16, 72), (9, 30, 3, 8)]
)
@pytest.mark.parametrize("tile", [patch_view, gather_tiles])
def test_tiles_are_put_together_as_by_hand(height, width, low, high, tile):
    images = torch.randn(7, 3, height, width, generator=torch.Generator().manual_seed(3))
    draws = draw_patches(np.random.default_rng(4), 7, height, width, low, high)
    views = tile(images, draws)
    assert views.shape == images.shape and views.is_contiguous()
    for k in range(7):
        assert torch.equal(views[k], by_hand(images[k], draws.sizes[k], draws.tops[k], draws.lefts[k]))


@pytest.mark.parametrize("height, width", [(30, 41), (24, 24)])
def test_every_tile_is_a_crop_of_its_own_image_at_an_allowed_place(height, width):
    """Each pixel carries its image and place, so a view tells where it came from."""
    numbers = torch.arange(5 * height * width, dtype=torch.float32).reshape(5, 1, height, width)
    draws = draw_patches(np.random.default_rng(0), 5, height, width, 4, 12)
    for k, view in enumerate(patch_view(numbers, draws)[:, 0].long()):
        d, place = int(draws.sizes[k]), view - k * height * width
        assert place.min() >= 0 and place.max() < height * width
        for top in range(0, height, d):
            for left in range(0, width, d):
                tile = place[top : top + d, left : left + d]
                y, x = divmod(int(tile[0, 0]), width)
                assert 0 <= y < height - d and 0 <= x < width - d
                here = torch.arange(tile.shape[0])[:, None] * width + torch.arange(tile.shape[1])
                assert torch.equal(tile, y * width + x + here)


@pytest.mark.parametrize("low, high, sizes, fewest, mean", [(16, 56, 41, 5, 65.8), (16, 72, 57, 4, 51.8)])
def test_golden_numbers_of_tiles(low, high, sizes, fewest, mean):
    counts = np.array([tiles(224, d) for d in range(low, high + 1)])
    assert (len(counts), counts.min(), counts.max()) == (sizes, fewest, 15)
    assert np.mean(counts**2) == pytest.approx(mean, abs=0.05)


@pytest.mark.parametrize("size", [16, 28, 56])
def test_where_the_size_divides_the_image_the_surplus_row_and_column_are_cut_off(size):
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    draws = draw_patches(np.random.default_rng(2), 1, 224, 224, size, size)
    assert draws.tops.shape == (1, 224 // size + 1, 224 // size + 1)
    inner = PatchDraws(draws.sizes, draws.tops[:, :-1, :-1], draws.lefts[:, :-1, :-1])
    assert torch.equal(patch_view(images, draws), patch_view(images, inner))


def test_sizes_are_uniform_with_both_ends():
    sizes = draw_patches(np.random.default_rng(5), 20000, 80, 80, 16, 56).sizes
    found = np.bincount(sizes)[16:]
    assert len(found) == 41 and found.min() > 0
    assert stats.chisquare(found).pvalue > 0.01


def test_places_are_uniform_without_the_upper_bound():
    draws = draw_patches(np.random.default_rng(6), 4000, 20, 31, 8, 8)
    for corners, room in ((draws.tops, 12), (draws.lefts, 23)):
        found = np.bincount(corners.reshape(-1))
        assert len(found) == room
        assert stats.chisquare(found).pvalue > 0.01
    joint = stats.contingency.crosstab(draws.tops.reshape(-1), draws.lefts.reshape(-1)).count
    assert stats.chi2_contingency(joint).pvalue > 0.01


def test_patches_as_large_as_the_image_are_refused():
    with pytest.raises(ValueError, match="do not fit 20 × 30"):
        draw_patches(np.random.default_rng(0), 1, 20, 30, 4, 20)
    with pytest.raises(UsageError, match="smaller than the view, 32 pixels; use at most 31"):
        ViewRecipe(size=32, patch_ratio=(4, 32)).check()
    ViewRecipe(size=32, patch_ratio=(4, 31)).check()


def test_draws_belong_to_seed_epoch_and_example():
    def of(examples, seed=1, epoch=2):
        return patches_of_examples(seed, epoch, np.array(examples), 2, 32, (4, 16))

    both, alone = of([8, 3]), of([3])
    for view in range(2):
        assert np.array_equal(both[view].tops[1], alone[view].tops[0])
        assert both[view].sizes[1] == alone[view].sizes[0]
    assert not np.array_equal(both[0].tops, both[1].tops)
    assert not np.array_equal(of([3], seed=2)[0].tops, alone[0].tops)
    assert not np.array_equal(of([3], epoch=3)[0].tops, alone[0].tops)


def test_the_reference_makes_the_same_kind_of_view():
    numbers = torch.arange(30 * 41, dtype=torch.float32).reshape(1, 30, 41)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        view = reference_patch_view(numbers, 7, 7)[0].long()
    assert view.shape == (30, 41)
    y, x = view[:7, :7][0, 0] // 41, view[:7, :7][0, 0] % 41
    assert torch.equal(view[:7, :7], numbers[0, y : y + 7, x : x + 7].long())
