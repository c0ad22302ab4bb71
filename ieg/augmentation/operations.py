"""The operations of AutoAugment and RandAugment at a magnitude level m = 0…10.

An image is its colours, uint8 [H,W,3], and its alpha channel `covered`, bool [H,W]. An operation changes both in place.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from ieg.augmentation import colour, geometry
from ieg.augmentation.compilation import kernel


class Operation(IntEnum):
    """Named as in the policies."""

    Identity = 0
    AutoContrast = 1
    Equalize = 2
    Invert = 3
    Posterize = 4
    Solarize = 5
    Color = 6
    Contrast = 7
    Brightness = 8
    Sharpness = 9
    Rotate = 10
    ShearX = 11
    ShearY = 12
    TranslateX = 13
    TranslateY = 14
    Cutout = 15


@kernel
def _tone(operation: int, level: int, image: np.ndarray, covered: np.ndarray) -> None:
    """The operations that Pillow has for RGB only: black uncovered pixels count as image, and stay in it."""
    if operation == Operation.AutoContrast:
        colour.auto_contrast(image)
    elif operation == Operation.Equalize:
        colour.equalize(image)
    elif operation == Operation.Invert:
        colour.invert(image)
    elif operation == Operation.Posterize:
        colour.posterize(image, 4 - 4 * level // 10)
    elif operation == Operation.Solarize:
        colour.solarize(image, 256 - 256 * level // 10)
    covered[:] = True


@kernel
def _enhance(operation: int, level: int, image: np.ndarray) -> None:
    """The operations that blend with a degenerate image; alpha stays."""
    factor = np.float32(level * 1.8 / 10 + 0.1)
    if operation == Operation.Color:
        colour.color(image, factor)
    elif operation == Operation.Contrast:
        colour.contrast(image, factor)
    elif operation == Operation.Brightness:
        colour.brightness(image, factor)
    elif operation == Operation.Sharpness:
        colour.sharpness(image, factor)


@kernel
def _move(operation: int, level: int, negate: bool, image: np.ndarray, covered: np.ndarray) -> None:
    """The operations that have a sign."""
    sign = -1 if negate else 1
    if operation == Operation.Rotate:
        geometry.rotate(image, covered, sign * 3 * level)
    elif operation == Operation.ShearX:
        geometry.shear_x(image, covered, sign * level * 0.3 / 10)
    elif operation == Operation.ShearY:
        geometry.shear_y(image, covered, sign * level * 0.3 / 10)
    elif operation == Operation.TranslateX:
        geometry.translate_x(image, covered, sign * level)
    elif operation == Operation.TranslateY:
        geometry.translate_y(image, covered, sign * level)


@kernel
def apply_operation(
    operation: int, level: int, negate: bool, centre: np.ndarray, image: np.ndarray, covered: np.ndarray
) -> None:
    """Applies one `Operation`; `centre` [2] in [0,1) is where a cutout goes, as a share of height and width."""
    if operation == Operation.Identity:
        return
    if operation <= Operation.Solarize:
        _tone(operation, level, image, covered)
    elif operation <= Operation.Sharpness:
        _enhance(operation, level, image)
    elif operation <= Operation.TranslateY:
        _move(operation, level, negate, image, covered)
    else:
        height, width = covered.shape
        geometry.cutout(image, covered, 2 * level, int(centre[0] * height), int(centre[1] * width))
