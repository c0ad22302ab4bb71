"""Random and central crops against slow ones."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ieg.augmentation.inception import central_window, evaluation_image, scaled, to_input, training_image
from tests.ieg.photographs import photographs


def photograph(k=0):
    return photographs()[k].read_bytes()


def encoded_png(height, width):
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (height, width, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue(), image


def bilinear(image, size):
    """Half-pixel centres, no smoothing, one output pixel at a time, float64."""
    out = np.empty((size, size, 3))
    for row in range(size):
        for column in range(size):
            y = np.clip((row + 0.5) * image.shape[0] / size - 0.5, 0, image.shape[0] - 1)
            x = np.clip((column + 0.5) * image.shape[1] / size - 0.5, 0, image.shape[1] - 1)
            top, left = min(int(y), image.shape[0] - 2), min(int(x), image.shape[1] - 2)
            dy, dx = y - top, x - left
            block = image[top : top + 2, left : left + 2].astype(np.float64)
            out[row, column] = np.einsum("a,abc,b->c", [1 - dy, dy], block, [1 - dx, dx])
    return out


@pytest.mark.parametrize(("height", "width", "expected"), [(256, 256, (16, 16, 224)), (100, 333, (7, 123, 87))])
def test_the_central_crop_is_224_256_of_the_shorter_side(height, width, expected):
    window = central_window(tf.constant([height, width, 3])).numpy()
    assert tuple(window[:3]) == expected
    assert window[2] == window[3]


def test_evaluation_is_the_scaled_central_crop():
    png, image = encoded_png(64, 96)
    crop = image[4:60, 20:76]  # 56 = 7/8 of 64
    np.testing.assert_allclose(evaluation_image(png, 32), bilinear(crop, 32), atol=1e-3)


def test_a_window_of_a_jpeg_is_a_part_of_the_whole():
    jpeg = photograph()
    whole = tf.image.decode_jpeg(jpeg, channels=3).numpy()
    window = scaled(jpeg, tf.constant([30, 40, 48, 48]), 48).numpy()
    # Colours are stored at half the resolution, so the border of a window may differ a little.
    assert np.abs(window - whole[30:78, 40:88])[2:-2, 2:-2].mean() < 0.5


def sampled_windows(monkeypatch, count, height, width):
    """The windows that `count` seeds cut out of an image of this size."""
    from ieg.augmentation import inception

    found = []

    def keep(_encoded, window, size):
        found.append(window.numpy())
        return tf.zeros([size, size, 3])

    monkeypatch.setattr(inception, "scaled", keep)
    monkeypatch.setattr(inception, "image_shape", lambda _encoded: tf.constant([height, width, 3]))
    for seed in range(count):
        training_image(b"", tf.constant([seed, 7]), tf.constant(False), 8)
    return np.array(found)


def test_crops_have_the_areas_and_aspects_asked_for(monkeypatch):
    windows = sampled_windows(monkeypatch, 300, 200, 240)
    top, left, height, width = windows.T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + height <= 200).all() and (left + width <= 240).all()
    area, aspect = height * width / (200 * 240), width / height
    assert 0.095 <= area.min() < 0.16  # 0.08, but a tenth of the image must be covered
    assert 0.7 < area.max() <= 1.0
    assert 0.73 < aspect.min() < 0.8 and 1.25 < aspect.max() < 1.36
    assert len({tuple(window) for window in windows}) > 290


def test_where_no_crop_fits_the_central_one_stands_in(monkeypatch):
    windows = sampled_windows(monkeypatch, 20, 20, 2000)  # a strip: no window of aspect ¾…4/3 covers a tenth
    assert {tuple(window) for window in windows} == {(2, 992, 17, 17)}


def test_a_training_image_depends_on_its_seed_and_flip_alone():
    jpeg = photograph(3)

    def made(seed, flip):
        return training_image(jpeg, tf.constant(seed), tf.constant(flip), 32).numpy()

    np.testing.assert_array_equal(made([1, 2], False), made([1, 2], False))
    np.testing.assert_array_equal(made([1, 2], True), made([1, 2], False)[:, ::-1])
    assert np.abs(made([1, 2], False) - made([1, 3], False)).mean() > 5
    assert made([1, 2], False).dtype == np.float32


def test_values_end_at_one():
    np.testing.assert_allclose(to_input(tf.constant([0, 127.5, 255])), [-1, 0, 1], atol=1e-7)
