"""AutoAugment with the policies found on ImageNet (arXiv 1805.09501, `v0`), with TensorFlow's magnitudes.

The operations here are TensorFlow's, not Pillow's as on CIFAR: pixels that come from outside are grey (128), shifts go
up to 250 pixels, and images are of any size. They run inside tf.data, one image at a time.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import tensorflow as tf

GREY = 128
CUTOUT = 16
_POLICIES = Path(__file__).with_name("policies.json")


def auto_contrast(image, _level, _sign):
    """Stretches each channel linearly to 0…255; a channel of one value stays."""
    x = tf.cast(image, tf.float32)
    low, high = tf.reduce_min(x, [0, 1]), tf.reduce_max(x, [0, 1])  # [3]
    scale = 255 / tf.maximum(high - low, 1)
    return tf.where(high > low, to_bytes(x * scale - low * scale), image)


def equalize(image, _level, _sign):
    """Flattens the histogram of each channel."""
    return tf.stack([equalized_channel(tf.cast(image[..., k], tf.int32)) for k in range(3)], axis=-1)


def equalized_channel(channel):
    """int32 [H,W] in 0…255 → uint8 [H,W]."""
    histogram = tf.math.bincount(tf.reshape(channel, [-1]), minlength=256, maxlength=256)  # [256]
    brightest = tf.reduce_max(tf.where(histogram > 0, tf.range(256), 0))
    step = (tf.size(channel) - histogram[brightest]) // 255
    table = (tf.cumsum(histogram, exclusive=True) + step // 2) // tf.maximum(step, 1)
    return tf.cast(tf.where(step == 0, channel, tf.gather(tf.minimum(table, 255), channel)), tf.uint8)


def invert(image, _level, _sign):
    """255 − v."""
    return 255 - image


def posterize(image, level, _sign):
    """Keeps the ⌊0.4·level⌋ highest bits; of none, black is left."""
    unit = 2 ** (8 - 4 * level // 10)
    return tf.cast(tf.cast(image, tf.int32) // unit * unit, tf.uint8)


def solarize(image, level, _sign):
    """Inverts the values from ⌊25.6·level⌋ on."""
    return tf.where(tf.cast(image, tf.int32) < 256 * level // 10, image, 255 - image)


def solarize_add(image, level, _sign):
    """Adds ⌊11·level⌋ to the values below 128."""
    brighter = tf.minimum(tf.cast(image, tf.int32) + 110 * level // 10, 255)
    return tf.where(image < 128, tf.cast(brighter, tf.uint8), image)


def color(image, level, _sign):
    """Towards (factor < 1) or away from the grey of each pixel; factor 0.1 + 0.18·level."""
    grey = tf.cast(tf.image.rgb_to_grayscale(image), tf.float32)
    factor = 0.1 + 0.18 * tf.cast(level, tf.float32)
    return to_bytes(grey + factor * (tf.cast(image, tf.float32) - grey))


def rotate(image, level, sign):
    """Counter-clockwise by ±3·level degrees about the centre."""
    angle = sign * tf.cast(level, tf.float32) * (3 * math.pi / 180)
    size = tf.shape(image)
    middle_x, middle_y = (tf.cast(size[1] - 1, tf.float32) / 2, tf.cast(size[0] - 1, tf.float32) / 2)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    x_offset = middle_x - (cosine * middle_x - sine * middle_y)
    y_offset = middle_y - (sine * middle_x + cosine * middle_y)
    return moved(image, [cosine, -sine, x_offset, sine, cosine, y_offset])


def shear_x(image, level, sign):
    """Row y moves by ±0.03·level·y pixels."""
    return moved(image, [1, sign * 0.03 * tf.cast(level, tf.float32), 0, 0, 1, 0])


def shear_y(image, level, sign):
    """Column x moves by ±0.03·level·x pixels."""
    return moved(image, [1, 0, 0, sign * 0.03 * tf.cast(level, tf.float32), 1, 0])


def translate_x(image, level, sign):
    """±25·level pixels to the side."""
    return moved(image, [1, 0, sign * 25 * tf.cast(level, tf.float32), 0, 1, 0])


def translate_y(image, level, sign):
    """±25·level pixels up or down."""
    return moved(image, [1, 0, 0, 0, 1, sign * 25 * tf.cast(level, tf.float32)])


def moved(image, matrix):
    """Output pixel (x, y) takes the input pixel nearest to (a·x + b·y + c, d·x + e·y + f), grey where there is none."""
    transform = tf.stack([tf.cast(value, tf.float32) for value in (*matrix, 0, 0)])[None]  # [1,8]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform,
        output_shape=tf.shape(image)[:2],
        fill_value=float(GREY),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )[0]


def to_bytes(x):
    """Clipped to 0…255 and truncated: uint8."""
    return tf.cast(tf.clip_by_value(x, 0, 255), tf.uint8)


OPERATIONS = {
    "AutoContrast": auto_contrast,
    "Equalize": equalize,
    "Invert": invert,
    "Posterize": posterize,
    "Solarize": solarize,
    "SolarizeAdd": solarize_add,
    "Color": color,
    "Rotate": rotate,
    "ShearX": shear_x,
    "ShearY": shear_y,
    "TranslateX": translate_x,
    "TranslateY": translate_y,
}


@cache
def imagenet_policies() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Operation (place in OPERATIONS) int32, probability float32 and level int32, each [25,2]."""
    pairs = json.loads(_POLICIES.read_text(encoding="utf-8"))["imagenet_v0"]  # [25][2](name, probability, level)
    names = list(OPERATIONS)
    return (
        np.array([[names.index(name) for name, _, _ in pair] for pair in pairs], np.int32),
        np.array([[probability for _, probability, _ in pair] for pair in pairs], np.float32),
        np.array([[level for _, _, level in pair] for pair in pairs], np.int32),
    )


def apply_operation(image, operation, level, negate):
    """One of OPERATIONS by its place; image uint8 [H,W,3], level int32 0…10, negate bool: uint8 [H,W,3]."""
    sign = tf.where(negate, -1.0, 1.0)
    branches = [lambda function=function: function(image, level, sign) for function in OPERATIONS.values()]
    return tf.ensure_shape(tf.switch_case(operation, branches), image.shape)


def autoaugment(image, policy, uniform, negate):
    """Sub-policy `policy` (int32 scalar) of the 25: each operation is done where uniform [2] < its probability.

    Args: image: uint8 [H,W,3]; uniform: float32 [2] in [0,1); negate: bool [2]. Returns: uint8 [H,W,3].
    """
    operations, probabilities, levels = (tf.gather(table, policy) for table in imagenet_policies())
    for k in range(2):
        image = tf.cond(
            uniform[k] < probabilities[k],
            lambda image=image, k=k: apply_operation(image, operations[k], levels[k], negate[k]),
            lambda image=image: image,
        )
    return image


def cutout(image, centre):
    """Blackens CUTOUT×CUTOUT pixels about `centre`, float32 [2] in [0,1), clipped at the border: uint8 [H,W,3]."""
    size = tf.shape(image)[:2]
    middle = tf.cast(centre * tf.cast(size, tf.float32), tf.int32)
    rows, columns = (tf.range(size[k]) - middle[k] for k in range(2))
    half = CUTOUT // 2
    hidden = ((rows >= -half) & (rows < half))[:, None] & ((columns >= -half) & (columns < half))[None]  # [H,W]
    return tf.where(hidden[..., None], tf.zeros_like(image), image)
