"""Colour jitter of a batch, the four operations in each image's own order, in Pillow's arithmetic.

Images are float32 [n, 3, H, W] holding the whole numbers 0…255 and are changed in place. Pillow rounds down after
brightness, contrast and saturation and to the nearest after a change of hue, and so do these. Hue alone differs: Pillow
keeps hue and saturation in 8 bits each, which moves a channel by one level of 255 on average, by 16 at most seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moco_nonsem.views.masked_apply import apply_to

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class ColorDraws:
    """What is done to the colours of B images.

    jitter: bool [B], whether at all; order: int64 [B, 4], places in `OPERATIONS`, first to last; factors: float32
    [B, 4] of brightness, contrast, saturation (1 leaves as it is) and hue (in turns of the colour circle, 0 leaves as
    it is); gray: bool [B]; sigma: float32 [B] of the blur in pixels, 0 where there is none.
    """

    jitter: np.ndarray
    order: np.ndarray
    factors: np.ndarray
    gray: np.ndarray
    sigma: np.ndarray

    def part(self, rows: slice) -> ColorDraws:
        """The draws of some of the images."""
        return ColorDraws(self.jitter[rows], self.order[rows], self.factors[rows], self.gray[rows], self.sigma[rows])


def color_jitter(images: Tensor, draws: ColorDraws) -> None:
    """Brightness, contrast, saturation and hue, each image in its own order."""
    for position in range(4):
        operations = draws.order[:, position]
        for operation in sorted(set(operations[draws.jitter].tolist())):
            chosen = draws.jitter & (operations == operation)
            apply_to(images, chosen, OPERATIONS[operation], draws.factors[:, operation])


def luma(images: Tensor) -> Tensor:
    """Brightness as the eye weighs the channels, whole numbers, [n, 1, H, W]."""
    red, green, blue = images.unbind(1)
    gray = (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])  # [n, H, W]
    return gray.add_(0.5).floor_()[:, None]


def brightness(images: Tensor, factor: Tensor) -> None:
    """Factor · x; factor: [n, 1, 1, 1]."""
    images.mul_(factor).clamp_(0, 255).floor_()


def contrast(images: Tensor, factor: Tensor) -> None:
    """Mean + factor · (x − mean), the mean being the rounded one of the image's luma; factor: [n, 1, 1, 1]."""
    mean = luma(images).mean((1, 2, 3), keepdim=True).add_(0.5).floor_()  # [n, 1, 1, 1]
    images.mul_(factor).add_((1 - factor) * mean).clamp_(0, 255).floor_()


def saturation(images: Tensor, factor: Tensor) -> None:
    """Gray + factor · (x − gray); factor: [n, 1, 1, 1]."""
    gray = luma(images).mul_(1 - factor)  # [n, 1, H, W]
    images.mul_(factor).add_(gray).clamp_(0, 255).floor_()


def hue(images: Tensor, factor: Tensor) -> None:
    """Turns the hue by `factor` of the colour circle, [n, 1, 1, 1]; value and saturation (HSV) stay."""
    angle, low, high = _hue(images)  # [n, H, W] each
    angle.add_(factor[:, 0] * 6)
    angle.sub_((angle / 6).floor_(), alpha=6)  # 0…6
    chroma = high - low
    for channel, (centre, start, sign) in enumerate(((3, low, 1), (2, high, -1), (4, high, -1))):
        share = (angle - centre).abs_().sub_(1).clamp_(0, 1)
        torch.addcmul(start, share, chroma, value=sign, out=images[:, channel]).add_(0.5).floor_()


def _hue(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(hue in sixths of the colour circle, 0…6: red 0, green 2, blue 4, gray 0; lowest, highest channel); [n, H, W].

    The channels are ordered by two exchanges, which are 0 or 1 because channels are whole numbers: choosing by a
    condition takes a CPU longer than all the rest.
    """
    red, green, blue = images.unbind(1)
    first = (blue - green).clamp_(0, 1)  # 1: blue exceeds green
    upper, lower = torch.maximum(green, blue), torch.minimum(green, blue)
    second = (upper - red).clamp_(0, 1)  # 1: red is not the highest
    high, middle = torch.maximum(red, upper), torch.minimum(red, upper)
    low = torch.minimum(middle, lower)
    angle = (first * 12).sub_(2).mul_(second).sub_(first, alpha=6)
    slope = (middle - lower).div_((high - low).clamp_(min=1))
    return angle.add_(slope).abs_(), low, high


def grayscale(images: Tensor) -> None:
    """All three channels become the luma."""
    images.copy_(luma(images).expand_as(images))


OPERATIONS = (brightness, contrast, saturation, hue)
