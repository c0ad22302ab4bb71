"""The training transform against a slow one."""

from __future__ import annotations

import numpy as np
import pytest

from ieg.augmentation.weak import WeakDraws, draw_weak, normalize, weak_augment
from tests.ieg.augmentation.pillow_reference import crop_and_flip


@pytest.mark.parametrize("size, pad", [(32, 2), (8, 2), (9, 3), (5, 0)])
def test_against_padding_and_slicing(size: int, pad: int):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (120, size, size, 3), np.uint8)
    draws = draw_weak(generator, 120, pad)
    x = weak_augment(images, draws)
    assert x.dtype == np.float32
    for i in range(120):
        crop = crop_and_flip(images[i], pad, 0, draws.offset[i], draws.flip[i])
        expected = 2 * (np.clip(crop / 255, 0, 1) - 0.5)  # float64
        np.testing.assert_allclose(x[i], expected, rtol=0, atol=1e-7)


def test_each_corner_and_each_flip():
    image = np.arange(1, 13, dtype=np.uint8).reshape(1, 2, 2, 3)
    for offset in np.ndindex(5, 5):
        for flip in (False, True):
            x = weak_augment(image, WeakDraws(np.array([offset]), np.array([flip])))
            expected = normalize(crop_and_flip(image[0], 2, 0, np.array(offset), flip))
            np.testing.assert_array_equal(x[0], expected)


def test_padding_is_black_and_no_draw_at_the_middle_is_plain_normalisation():
    images = np.random.default_rng(1).integers(1, 256, (1, 32, 32, 3), np.uint8)
    middle = weak_augment(images, WeakDraws(np.array([[2, 2]]), np.array([False])))
    np.testing.assert_array_equal(middle, normalize(images))
    corner = weak_augment(images, WeakDraws(np.array([[0, 4]]), np.array([False])))
    assert (corner[0, :2] == -1).all() and (corner[0, :, -2:] == -1).all()
    assert (corner[0, 2:, :-2] > -1).all()


def test_normalize_is_float32_and_ends_at_one():
    values = np.arange(256, dtype=np.uint8)
    x = normalize(values)
    assert x.dtype == np.float32
    assert x[0] == -1 and x[255] == 1
    np.testing.assert_allclose(x, 2 * (values / 255 - 0.5), rtol=0, atol=6e-8)


def test_what_does_not_fit_is_refused():
    draws = draw_weak(np.random.default_rng(2), 3)
    with pytest.raises(ValueError, match="expected uint8"):
        weak_augment(np.zeros((3, 32, 30, 3), np.uint8), draws)
    with pytest.raises(ValueError, match="2 images, but draws for 3"):
        weak_augment(np.zeros((2, 32, 32, 3), np.uint8), draws)
