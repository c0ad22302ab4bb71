"""The operations and policies once more, by Pillow on RGBA images and with plain numpy: the oracle of these tests."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from ieg.augmentation.policies import Chances, Policies

SIGNED = ("Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY")
DROP_ALPHA = ("AutoContrast", "Equalize", "Invert", "Posterize", "Solarize")
ENHANCE = ("Color", "Contrast", "Brightness", "Sharpness")
CUTOUT_COLOUR = (125, 122, 113)


def to_pillow(image: np.ndarray, covered: np.ndarray) -> Image.Image:
    """uint8 [H,W,3], bool [H,W] → RGBA."""
    return Image.fromarray(np.dstack([image, covered * np.uint8(255)]))


def from_pillow(picture: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """RGBA → uint8 [H,W,3], bool [H,W]; alpha is never anything between."""
    pixels = np.asarray(picture)
    assert set(np.unique(pixels[..., 3])) <= {0, 255}
    return pixels[..., :3], pixels[..., 3] > 0


def _drop_alpha(picture: Image.Image, name: str, level: int) -> Image.Image:
    rgb = picture.convert("RGB")
    if name == "AutoContrast":
        rgb = ImageOps.autocontrast(rgb)
    elif name == "Equalize":
        rgb = ImageOps.equalize(rgb)
    elif name == "Invert":
        rgb = ImageOps.invert(rgb)
    elif name == "Solarize":
        rgb = ImageOps.solarize(rgb, 256 - int(25.6 * level))
    else:
        bits = 4 - int(0.4 * level)
        # Pillow refuses to keep no bit at all
        rgb = ImageOps.posterize(rgb, bits) if bits else Image.new("RGB", rgb.size)
    return rgb.convert("RGBA")


def _affine(picture: Image.Image, name: str, level: int, sign: int) -> Image.Image:
    if name == "Rotate":
        return picture.rotate(sign * int(3 * level))
    slope, shift = sign * 0.03 * level, sign * level
    matrix = {
        "ShearX": (1, slope, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, slope, 1, 0),
        "TranslateX": (1, 0, shift, 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, shift),
    }[name]
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix)


def _cutout(picture: Image.Image, size: int, centre: np.ndarray) -> Image.Image:
    pixels = np.array(picture)
    row, column = int(centre[0] * pixels.shape[0]), int(centre[1] * pixels.shape[1])
    for i in range(row - size // 2, row + size // 2):
        for j in range(column - size // 2, column + size // 2):
            if 0 <= i < pixels.shape[0] and 0 <= j < pixels.shape[1]:
                pixels[i, j] = (*CUTOUT_COLOUR, 0)
    return Image.fromarray(pixels)


def apply(picture: Image.Image, name: str, level: int, negate: bool, centre: np.ndarray) -> Image.Image:
    """One operation on an RGBA image."""
    if name == "Identity":
        return picture
    if name in DROP_ALPHA:
        return _drop_alpha(picture, name, level)
    if name == "Cutout":
        return _cutout(picture, 2 * level, centre)
    if name in SIGNED:
        return _affine(picture, name, level, -1 if negate else 1)
    assert name in ENHANCE
    return getattr(ImageEnhance, name)(picture).enhance(0.1 + 0.18 * level)


def apply_policies(
    images: np.ndarray, names: list[list[str]], policies: Policies, index: np.ndarray, chances: Chances
) -> tuple[np.ndarray, np.ndarray]:
    """A whole batch, image by image; names [P][K]."""
    results = []
    for i, image in enumerate(images):
        picture = Image.fromarray(image).convert("RGBA")
        for k, name in enumerate(names[index[i]]):
            if chances.uniform[i, k] < policies.probability[index[i], k]:
                level = int(policies.level[index[i], k])
                picture = apply(picture, name, level, bool(chances.negate[i, k]), chances.centre[i, k])
        results.append(from_pillow(picture))
    return np.stack([image for image, _ in results]), np.stack([covered for _, covered in results])


def crop_and_flip(image: np.ndarray, pad: int, fill: float, offset: np.ndarray, flip: bool) -> np.ndarray:
    """Pads [H,W,3] with `fill`, crops H×W at `offset`, flips left to right."""
    height, width, _ = image.shape
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), constant_values=fill)
    crop = padded[offset[0] : offset[0] + height, offset[1] : offset[1] + width]
    return crop[:, ::-1] if flip else crop
