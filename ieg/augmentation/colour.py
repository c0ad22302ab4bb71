"""Operations that change colours and leave pixels where they are; bit for bit what Pillow computes.

Each changes `image` (uint8 [H,W,3]) in place. Integer and float32 steps follow Pillow's, because a value that is off
by one before a threshold or a histogram becomes a different image behind it.
"""

from __future__ import annotations

import numpy as np

from ieg.augmentation.compilation import kernel


@kernel
def _look_up(image: np.ndarray, channel: int, table: np.ndarray) -> None:
    """Replaces value by table[value] in one channel; table uint8 [256]."""
    height, width, _ = image.shape
    for row in range(height):
        for column in range(width):
            image[row, column, channel] = table[image[row, column, channel]]


@kernel
def _histogram(image: np.ndarray, channel: int) -> np.ndarray:
    """Number of pixels with each value of one channel, int64 [256]."""
    height, width, _ = image.shape
    counts = np.zeros(256, np.int64)
    for row in range(height):
        for column in range(width):
            counts[image[row, column, channel]] += 1
    return counts


@kernel
def auto_contrast(image: np.ndarray) -> None:
    """Stretches each channel linearly to 0…255; a channel of one value stays."""
    table = np.empty(256, np.uint8)
    for channel in range(3):
        present = np.nonzero(_histogram(image, channel))[0]
        low, high = present[0], present[-1]
        if low == high:
            continue
        scale = 255.0 / (high - low)
        offset = -low * scale
        for value in range(256):
            table[value] = min(max(int(value * scale + offset), 0), 255)
        _look_up(image, channel, table)


@kernel
def equalize(image: np.ndarray) -> None:
    """Flattens the histogram of each channel, as far as one table for all pixels of a value can."""
    table = np.empty(256, np.uint8)
    for channel in range(3):
        counts = _histogram(image, channel)
        brightest = np.nonzero(counts)[0][-1]
        step = (counts.sum() - counts[brightest]) // 255
        if step == 0:  # (nearly) all pixels share the brightest value
            continue
        below = step // 2
        for value in range(256):
            table[value] = min(below // step, 255)
            below += counts[value]
        _look_up(image, channel, table)


@kernel
def invert(image: np.ndarray) -> None:
    """Replaces value by 255 − value."""
    solarize(image, 0)


@kernel
def solarize(image: np.ndarray, threshold: int) -> None:
    """Inverts the values from `threshold` on."""
    values = image.reshape(-1)
    for i in range(values.size):
        if values[i] >= threshold:
            values[i] = 255 - values[i]


@kernel
def posterize(image: np.ndarray, bits: int) -> None:
    """Keeps the `bits` highest bits of each value."""
    mask = 256 - (1 << (8 - bits))
    values = image.reshape(-1)
    for i in range(values.size):
        values[i] = values[i] & mask


@kernel
def blend(degenerate: int, value: int, factor: np.float32) -> int:
    """Computes degenerate + factor·(value − degenerate) in float32, clipped, truncated."""
    mixed = np.float32(degenerate) + factor * np.float32(value - degenerate)
    return int(min(max(mixed, np.float32(0)), np.float32(255)))


@kernel
def _luma(red: int, green: int, blue: int) -> int:
    """ITU-R 601-2 luma with 16-bit weights, rounded."""
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16


@kernel
def color(image: np.ndarray, factor: np.float32) -> None:
    """Towards (factor < 1) or away from (factor > 1) the grey of each pixel."""
    height, width, _ = image.shape
    for row in range(height):
        for column in range(width):
            pixel = image[row, column]  # [3]
            grey = _luma(int(pixel[0]), int(pixel[1]), int(pixel[2]))
            for channel in range(3):
                pixel[channel] = blend(grey, int(pixel[channel]), factor)


@kernel
def contrast(image: np.ndarray, factor: np.float32) -> None:
    """Towards or away from the mean grey of the image, uncovered pixels included."""
    height, width, _ = image.shape
    total = 0
    for row in range(height):
        for column in range(width):
            pixel = image[row, column]  # [3]
            total += _luma(int(pixel[0]), int(pixel[1]), int(pixel[2]))
    _blend_all(image, int(total / (height * width) + 0.5), factor)


@kernel
def brightness(image: np.ndarray, factor: np.float32) -> None:
    """Towards or away from black."""
    _blend_all(image, 0, factor)


@kernel
def _blend_all(image: np.ndarray, degenerate: int, factor: np.float32) -> None:
    """Blends every value with the same `degenerate` one."""
    values = image.reshape(-1)
    for i in range(values.size):
        values[i] = blend(degenerate, int(values[i]), factor)


@kernel
def sharpness(image: np.ndarray, factor: np.float32) -> None:
    """Towards or away from the smoothed image; its filter leaves the outermost pixels as they are.

    The filter is 3×3, ones with 5 in the middle, over 13. No sum over 13 ends in ½, so rounding in integers equals
    Pillow's in float32.
    """
    height, width, _ = image.shape
    source = image.copy()
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            for channel in range(3):
                value = int(source[row, column, channel])
                total = 4 * value
                for i in range(-1, 2):
                    for j in range(-1, 2):
                        total += int(source[row + i, column + j, channel])
                image[row, column, channel] = blend((2 * total + 13) // 26, value, factor)
