"""Gaussian blur in Pillow's sense: three box blurs of a fractional radius along each direction."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from moco_nonsem.views.masked_apply import apply_to

PASSES = 3


def box_radius(sigma: float) -> float:
    """Radius in pixels, fractional, of each of the three boxes that have the variance σ² together.

    Gwosdek et al., Theoretical foundations of Gaussian convolution by extended box filtering, 2011, equations 7 to 14.
    """
    variance = sigma**2 / PASSES
    length = math.sqrt(12 * variance + 1)
    whole = math.floor((length - 1) / 2)
    rest = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    return whole + rest


def blur_kernel(sigma: float, reach: int) -> np.ndarray:
    """Weights of the three boxes together, float64 [2 · reach + 1], of sum 1, reach ≥ `reach_of(sigma)`."""
    radius = box_radius(sigma)
    whole = math.floor(radius)
    box = np.full(2 * whole + 3, radius - whole)  # the outermost pixels count in part
    box[1:-1] = 1
    box /= box.sum()
    kernel = np.convolve(np.convolve(box, box), box)
    return np.pad(kernel, reach - len(kernel) // 2)


def reach_of(sigma: float) -> int:
    """How many pixels to either side the blur looks."""
    return PASSES * (math.floor(box_radius(sigma)) + 1)


def gaussian_blur(images: Tensor, sigma: np.ndarray) -> None:
    """Blurs each image in place by its σ in pixels, float32 [B], 0: not at all; images: float32 [B, 3, H, W].

    Beyond the border lies the nearest pixel of the image. Pillow repeats that between its three boxes and rounds after
    each: up to 3 levels of 255 lie between the two, at the border 4.
    """
    reaches = np.array([reach_of(value) if value > 0 else 0 for value in sigma.tolist()])
    for reach in sorted(set(reaches[reaches > 0].tolist())):
        chosen = reaches == reach
        kernels = np.zeros((len(sigma), 2 * reach + 1), np.float32)
        kernels[chosen] = [blur_kernel(value, reach) for value in sigma[chosen].tolist()]
        apply_to(images, chosen, _convolve, kernels)


def _convolve(images: Tensor, kernels: Tensor) -> None:
    """Convolves rows, then columns; images: [n, 3, H, W], changed in place; kernels: [n, 1, 1, 1, 2 · reach + 1].

    Shifted images are added up: for kernels this small no convolution of torch's is faster on a CPU.
    """
    reach = kernels.shape[-1] // 2
    for direction, margin in ((3, (reach, reach, 0, 0)), (2, (0, 0, reach, reach))):
        length = images.shape[direction]
        padded = functional.pad(images, margin, mode="replicate")
        torch.mul(padded.narrow(direction, 0, length), kernels[..., 0], out=images)
        for shift in range(1, 2 * reach + 1):
            images.addcmul_(padded.narrow(direction, shift, length), kernels[..., shift])
    images.add_(0.5).floor_()
