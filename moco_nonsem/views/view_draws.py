"""What is drawn at random for one view of one image, in torchvision's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moco_nonsem.images.random_resized_crop import Box, Shares, draw_crop
from moco_nonsem.views.color_jitter import ColorDraws

CROP_SCALE = (0.2, 1.0)
STRENGTH = 0.4  # of brightness, contrast and saturation
HUE_V2, HUE_V1 = 0.1, 0.4
P_JITTER, P_GRAY, P_BLUR, P_FLIP = 0.8, 0.2, 0.5, 0.5
SIGMA = (0.1, 2.0)


@dataclass(frozen=True)
class ViewDraw:
    """One view of one image: window, mirrored or not, and what `ColorDraws` holds of one image."""

    box: Box
    shares: Shares
    flip: bool
    jitter: bool
    order: np.ndarray
    factors: np.ndarray
    gray: bool
    sigma: float


def draw_view(rng: np.random.Generator, height: int, width: int, aug_plus: bool) -> ViewDraw:
    """The draws of an image of height × width, one after the other: a crop drawn anew shifts all that follow.

    v2 (aug_plus): crop, jitter (p .8), gray (p .2), blur (p .5), flip (p .5). v1: crop, gray, jitter (always), flip.
    """
    box, shares = draw_crop(rng, height, width, CROP_SCALE)
    if aug_plus:
        jitter = rng.random() < P_JITTER
        order, factors = _draw_jitter(rng, HUE_V2)
        gray = rng.random() < P_GRAY
        sigma = SIGMA[0] + (SIGMA[1] - SIGMA[0]) * rng.random() if rng.random() < P_BLUR else 0.0
    else:
        gray, jitter, sigma = rng.random() < P_GRAY, True, 0.0
        order, factors = _draw_jitter(rng, HUE_V1)
    return ViewDraw(box, shares, rng.random() < P_FLIP, jitter, order, factors, gray, sigma)


def color_draws(draws: Sequence[ViewDraw]) -> ColorDraws:
    """The draws of several images together."""
    return ColorDraws(
        np.array([draw.jitter for draw in draws], bool),
        np.array([draw.order for draw in draws], np.int64),
        np.array([draw.factors for draw in draws], np.float32),
        np.array([draw.gray for draw in draws], bool),
        np.array([draw.sigma for draw in draws], np.float32),
    )


def _draw_jitter(rng: np.random.Generator, hue: float) -> tuple[np.ndarray, np.ndarray]:
    """(order [4], factors [4]): brightness, contrast and saturation around 1, hue around 0."""
    reach = np.array([STRENGTH, STRENGTH, STRENGTH, hue])
    return rng.permutation(4), np.array([1, 1, 1, 0]) + reach * (2 * rng.random(4) - 1)
