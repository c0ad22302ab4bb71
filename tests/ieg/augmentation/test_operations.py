"""Every operation against Pillow, bit for bit, and against the golden sums."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from ieg.augmentation.colour import blend
from ieg.augmentation.operations import Operation, apply_operation
from tests.ieg.augmentation import pillow_reference as reference
from tests.ieg.augmentation.sample_images import golden_image, sample_images

# operation → (sum of RGB at level 3, at level 7), uncovered pixels at these levels
GOLDEN = {
    "AutoContrast": (390522, 390522),
    "Equalize": (424016, 424016),
    "Invert": (392838, 392838),
    "Posterize": (342368, 293312),
    "Solarize": (224279, 224545),
    "Color": (388672, 391817),
    "Contrast": (388887, 389281),
    "Brightness": (248479, 491363),
    "Sharpness": (389406, 389685),
    "Rotate": (367538, 344128),
    "ShearX": (372258, 349903),
    "ShearY": (372562, 347163),
    "TranslateX": (352932, 303704),
    "TranslateY": (353988, 302200),
}
GOLDEN_NEGATED = {
    "Rotate": (364722, 342336),
    "ShearX": (375566, 356753),
    "ShearY": (374296, 352141),
    "TranslateX": (356996, 307512),
    "TranslateY": (356452, 310552),
}
GOLDEN_UNCOVERED = {"Rotate": (68, 132), "ShearX": (45, 108), "TranslateX": (96, 224)}
CENTRE = np.array([0.5, 0.5])


def run(
    name: str, level: int, negate: bool, image: np.ndarray, covered: np.ndarray | None = None, centre=CENTRE
) -> tuple[np.ndarray, np.ndarray]:
    """One operation on copies."""
    image = image.copy()
    covered = np.ones(image.shape[:2], np.bool_) if covered is None else covered.copy()
    apply_operation(int(Operation[name]), level, negate, centre, image, covered)
    return image, covered


def assert_like_pillow(name: str, level: int, negate: bool, image: np.ndarray, covered: np.ndarray, centre=CENTRE):
    ours, ours_covered = run(name, level, negate, image, covered, centre)
    picture = reference.apply(reference.to_pillow(image, covered), name, level, negate, centre)
    pillows, pillows_covered = reference.from_pillow(picture)
    np.testing.assert_array_equal(ours, pillows)
    np.testing.assert_array_equal(ours_covered, pillows_covered)


def test_reference_knows_every_operation():
    assert {operation.name for operation in Operation} == {
        *("Identity", "Cutout"),
        *reference.DROP_ALPHA,
        *reference.ENHANCE,
        *reference.SIGNED,
    }


@pytest.mark.parametrize("size", [32, 8, 11])
@pytest.mark.parametrize("level", range(11))
@pytest.mark.parametrize("name", [operation.name for operation in Operation])
def test_like_pillow(name: str, level: int, size: int):
    for image in sample_images(size).values():
        for negate in (False, True):
            assert_like_pillow(name, level, negate, image, np.ones(image.shape[:2], np.bool_))


@pytest.mark.parametrize("level", range(11))
@pytest.mark.parametrize("name", [operation.name for operation in Operation])
def test_like_pillow_with_uncovered_pixels(name: str, level: int):
    generator = np.random.default_rng(level)
    image = generator.integers(0, 256, (32, 32, 3), np.uint8)
    covered = generator.random((32, 32)) < 0.6
    for negate in (False, True):
        assert_like_pillow(name, level, negate, image, covered)


@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.0, 0.999), (0.999, 0.3), (0.13, 0.999), (0.5, 0.51)])
def test_cutout_of_a_policy_is_clipped(centre: tuple[float, float]):
    for level in range(11):
        image = sample_images(32)["random"]
        assert_like_pillow("Cutout", level, False, image, np.ones((32, 32), np.bool_), np.array(centre))


def test_golden_image_is_the_one_of_the_sums():
    image = golden_image()
    assert int(image.sum()) == 390522
    assert zlib.crc32(image.tobytes()) == 3857452332


@pytest.mark.parametrize("negate", [False, True])
@pytest.mark.parametrize("name", GOLDEN)
def test_golden_sums(name: str, negate: bool):
    sums = GOLDEN_NEGATED.get(name, GOLDEN[name]) if negate else GOLDEN[name]
    for i, level in enumerate((3, 7)):
        image, covered = run(name, level, negate, golden_image())
        assert int(image.sum()) == sums[i]
        if name in GOLDEN_UNCOVERED and not negate:
            assert int((~covered).sum()) == GOLDEN_UNCOVERED[name][i]


@pytest.mark.parametrize("name", [operation.name for operation in Operation])
def test_alpha(name: str):
    """The five RGB operations make everything covered; the others leave what was uncovered so (a corner, at m = 0)."""
    image = golden_image()
    covered = np.ones((32, 32), np.bool_)
    covered[:3, :4] = False
    image[~covered] = 0
    after, after_covered = run(name, 0, False, image, covered)
    if name in reference.DROP_ALPHA:
        assert after_covered.all()
    else:
        np.testing.assert_array_equal(after_covered, covered)
    if name in ("AutoContrast", "Posterize", "Solarize", "Color", "Brightness"):
        assert not after[:3, :4].any()  # still black


@pytest.mark.parametrize("factor", [0.1, 0.28, 0.64, 1.0, 1.36, 1.9])
def test_blend_against_exact_arithmetic(factor: float):
    """Truncation of the exact value, for every pair, where float32 can tell it from an integer."""
    factor32 = np.float32(factor)
    for degenerate in range(0, 256, 5):
        for value in range(256):
            exact = min(max(degenerate + float(factor32) * (value - degenerate), 0.0), 255.0)
            if abs(exact - round(exact)) > 1e-4 or exact in (0.0, 255.0):
                assert blend(degenerate, value, factor32) == int(exact)
