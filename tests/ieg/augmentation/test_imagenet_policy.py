"""Every operation of the ImageNet policy against Pillow or a slow loop, and which of them a policy does."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from ieg.augmentation import imagenet_policy
from ieg.augmentation.imagenet_policy import OPERATIONS, apply_operation, autoaugment, cutout, imagenet_policies

HEIGHT, WIDTH = 40, 48


def photograph_like(seed=0):
    """Smooth, with 30…220 of the values, so that stretching and equalising change it."""
    random = np.random.default_rng(seed)
    small = random.integers(30, 221, (5, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)).clip(30, 220)


def applied(name, image, level, negate=False):
    operation = tf.constant(list(OPERATIONS).index(name))
    return apply_operation(tf.constant(image), operation, tf.constant(level), tf.constant(negate)).numpy()


def test_equalize_is_pillows():
    image = photograph_like()
    found = applied("Equalize", image, 5)
    np.testing.assert_array_equal(found, np.asarray(ImageOps.equalize(Image.fromarray(image))))
    assert np.mean(found != image) > 0.5


def test_auto_contrast_stretches_every_channel_to_the_whole_range():
    image = photograph_like()
    low, high = image.min((0, 1)).astype(float), image.max((0, 1)).astype(float)
    exact = (image - low) * 255 / (high - low)
    sure = np.abs(exact - np.rint(exact)) > 1e-3  # float32 may truncate a whole number to the one below
    found = applied("AutoContrast", image, 5)
    np.testing.assert_array_equal(found[sure], np.floor(exact)[sure])
    assert np.abs(found - exact).max() <= 1
    assert sure.mean() > 0.9


@pytest.mark.parametrize("name", ["AutoContrast", "Equalize"])
def test_a_channel_of_one_value_stays(name):
    flat = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    np.testing.assert_array_equal(applied(name, flat, 5), flat)


@pytest.mark.parametrize("level", range(11))
def test_tone_operations_value_by_value(level):
    values = np.arange(256, dtype=np.uint8)
    image = np.stack([values.reshape(16, 16)] * 3, axis=-1)

    def by_hand(function):
        return np.array([function(int(v)) for v in values], np.uint8).reshape(16, 16)

    bits = int(0.4 * level + 1e-9)
    cases = {
        "Invert": lambda v: 255 - v,
        "Posterize": lambda v: v >> (8 - bits) << (8 - bits),
        "Solarize": lambda v: v if v < int(25.6 * level + 1e-9) else 255 - v,
        "SolarizeAdd": lambda v: min(v + int(11 * level), 255) if v < 128 else v,
    }
    for name, function in cases.items():
        np.testing.assert_array_equal(applied(name, image, level)[..., 1], by_hand(function), err_msg=name)


@pytest.mark.parametrize("level", [0, 3, 5, 9])
def test_color_blends_with_the_grey_of_each_pixel(level):
    image = photograph_like().astype(np.float64)
    grey = np.floor(image @ [0.2989, 0.5870, 0.1140] * 255.5 / 255)[..., None]  # TensorFlow's rounding of a grey
    expected = np.clip(grey + (0.1 + 0.18 * level) * (image - grey), 0, 255)
    found = applied("Color", image.astype(np.uint8), level)
    assert np.abs(found - expected).max() <= 1.01  # truncated, and greys half-way between two values
    assert found.dtype == np.uint8


def shifted(image, matrix):
    """Output (x, y) takes the input nearest to the matrix's (x', y'); 128 where there is none. One pixel at a time."""
    a, b, c, d, e, f = matrix
    out, sure = np.full(image.shape, 128, np.uint8), np.ones(image.shape[:2], bool)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            source = np.array([d * x + e * y + f, a * x + b * y + c])
            sure[y, x] = np.abs(source % 1 - 0.5).min() > 1e-3  # not half-way between two pixels
            row, column = np.rint(source).astype(int)
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                out[y, x] = image[row, column]
    return out, sure


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("name", ["Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY"])
def test_movements_are_nearest_neighbour_on_grey(name, level, negate):
    image, sign = photograph_like(1), -1 if negate else 1
    slope, shift, angle = sign * 0.03 * level, sign * 25 * level, np.radians(sign * 3 * level)
    x, y = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = {
        "Rotate": (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y),
        "ShearX": (1, slope, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, slope, 1, 0),
        "TranslateX": (1, 0, shift, 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, shift),
    }[name]
    expected, sure = shifted(image, matrix)
    found = applied(name, image, level, negate)
    assert sure.mean() > 0.8
    np.testing.assert_array_equal(found[sure], expected[sure])
    assert (found == 128).all(-1).any()


def test_policies_are_the_published_table():
    table = json.loads((Path(imagenet_policy.__file__).parent / "policies.json").read_text())["imagenet_v0"]
    operations, probabilities, levels = imagenet_policies()
    names = list(OPERATIONS)
    for k, pair in enumerate(table):
        for j, (name, probability, level) in enumerate(pair):
            assert (names[operations[k, j]], levels[k, j]) == (name, level)
            assert probabilities[k, j] == pytest.approx(probability)
    assert operations.shape == (25, 2)


def test_a_policy_does_what_its_draws_say_in_order():
    image = photograph_like(2)
    operations, _, levels = imagenet_policies()
    names = list(OPERATIONS)
    policy = 1  # Color 0.4 9, Equalize 0.6 3
    assert [names[k] for k in operations[policy]] == ["Color", "Equalize"]
    coloured = applied("Color", image, int(levels[policy, 0]))
    for uniform, expected in [
        ((0.39, 0.59), applied("Equalize", coloured, 3)),
        ((0.39, 0.61), coloured),
        ((0.41, 0.59), applied("Equalize", image, 3)),
        ((0.41, 0.61), image),
    ]:
        found = autoaugment(tf.constant(image), tf.constant(policy), tf.constant(uniform), tf.constant([False, False]))
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.0, 0.0), (0.99, 0.1)])
def test_cutout_is_a_black_square_clipped_at_the_border(centre):
    image = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    row, column = int(np.float32(centre[0]) * HEIGHT), int(np.float32(centre[1]) * WIDTH)
    expected = image.copy()
    expected[max(0, row - 8) : row + 8, max(0, column - 8) : column + 8] = 0
    np.testing.assert_array_equal(cutout(tf.constant(image), tf.constant(centre)), expected)
