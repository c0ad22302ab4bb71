"""Operations that move or hide pixels: nearest-neighbour affine maps and the cutout of a policy.

Each changes `image` (uint8 [H,W,3]) and `covered` (bool [H,W], the alpha channel) in place. Pixels that come from
outside the image turn black and uncovered.
"""

from __future__ import annotations

import math

import numpy as np

from ieg.augmentation.compilation import kernel

# What a policy's cutout paints, about the mean colour of CIFAR. It shows only if a later operation drops the alpha.
CUTOUT_RED, CUTOUT_GREEN, CUTOUT_BLUE = 125, 122, 113


@kernel
def _fixed_point(value: float) -> int:
    """The 16.16 fixed-point number nearest to `value`."""
    return math.floor(value * 65536.0 + 0.5)


@kernel
def affine(image: np.ndarray, covered: np.ndarray, a: float, b: float, c: float, d: float, e: float, f: float) -> None:
    """The output pixel with centre (x, y) takes the input pixel that holds (a·x + b·y + c, d·x + e·y + f).

    Positions advance in 16.16 fixed point, as in Pillow: in floating point some pixels of a shear go elsewhere.
    """
    height, width = covered.shape
    source, source_covered = image.copy(), covered.copy()
    x_step, x_row_step = _fixed_point(a), _fixed_point(b)
    y_step, y_row_step = _fixed_point(d), _fixed_point(e)
    x_start, y_start = _fixed_point(c + 0.5 * a + 0.5 * b), _fixed_point(f + 0.5 * d + 0.5 * e)
    for row in range(height):
        for column in range(width):
            x = (x_start + row * x_row_step + column * x_step) >> 16
            y = (y_start + row * y_row_step + column * y_step) >> 16
            inside = 0 <= x < width and 0 <= y < height
            for channel in range(3):
                image[row, column, channel] = source[y, x, channel] if inside else 0
            covered[row, column] = source_covered[y, x] if inside else False


@kernel
def shear_x(image: np.ndarray, covered: np.ndarray, slope: float) -> None:
    """Row y moves left by slope·y pixels."""
    affine(image, covered, 1.0, slope, 0.0, 0.0, 1.0, 0.0)


@kernel
def shear_y(image: np.ndarray, covered: np.ndarray, slope: float) -> None:
    """Column x moves up by slope·x pixels."""
    affine(image, covered, 1.0, 0.0, 0.0, slope, 1.0, 0.0)


@kernel
def translate_x(image: np.ndarray, covered: np.ndarray, pixels: int) -> None:
    """The image moves left by `pixels`."""
    affine(image, covered, 1.0, 0.0, float(pixels), 0.0, 1.0, 0.0)


@kernel
def translate_y(image: np.ndarray, covered: np.ndarray, pixels: int) -> None:
    """The image moves up by `pixels`."""
    affine(image, covered, 1.0, 0.0, 0.0, 0.0, 1.0, float(pixels))


@kernel
def rotate(image: np.ndarray, covered: np.ndarray, degrees: int) -> None:
    """Counter-clockwise about the centre of the image."""
    height, width = covered.shape
    angle = -math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    x_centre, y_centre = 0.5 * width, 0.5 * height
    x_offset = x_centre - cosine * x_centre - sine * y_centre
    y_offset = y_centre + sine * x_centre - cosine * y_centre
    affine(image, covered, cosine, sine, x_offset, -sine, cosine, y_offset)


@kernel
def cutout(image: np.ndarray, covered: np.ndarray, size: int, row_centre: int, column_centre: int) -> None:
    """Paints and uncovers a square of `size` pixels a side, clipped at the border."""
    height, width = covered.shape
    half = size // 2
    for row in range(max(0, row_centre - half), min(height, row_centre + half)):
        for column in range(max(0, column_centre - half), min(width, column_centre + half)):
            image[row, column, 0] = CUTOUT_RED
            image[row, column, 1] = CUTOUT_GREEN
            image[row, column, 2] = CUTOUT_BLUE
            covered[row, column] = False
