"""AutoAugment and RandAugment as chains, against Pillow, and what their draws share and do not share."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ieg.augmentation
from ieg.augmentation.autoaugment import AutoAugmentDraws, autoaugment, cifar_policies, draw_autoaugment
from ieg.augmentation.operations import Operation
from ieg.augmentation.policies import Chances, Policies, apply_policies, draw_chances
from ieg.augmentation.randaugment import OPERATIONS, RandAugmentDraws, draw_randaugment, randaugment
from tests.ieg.augmentation import pillow_reference as reference

POLICIES_FILE = Path(ieg.augmentation.__file__).with_name("policies.json")
PAIRS = json.loads(POLICIES_FILE.read_text(encoding="utf-8"))["cifar10"]
NAMES = [[name for name, _, _ in pair] for pair in PAIRS]


def random_images(batch: int, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (batch, size, size, 3), np.uint8)


def smooth_images(batch: int, size: int = 32, seed: int = 0) -> np.ndarray:
    """Low contrast and few values, on which AutoContrast and Equalize act strongly."""
    spread = np.random.default_rng(seed).integers(0, 90, (batch, 1, 1, 3))
    ramp = np.linspace(0, 1, size)[:, None, None]  # [H,1,1]
    return np.broadcast_to(60 + spread * ramp, (batch, size, size, 3)).astype(np.uint8)


def test_policies_are_the_files():
    policies = cifar_policies()
    assert len(PAIRS) == len(policies.operation) == 95
    for p, pair in enumerate(PAIRS):
        for k, (name, probability, level) in enumerate(pair):
            assert Operation(policies.operation[p, k]).name == name
            assert policies.probability[p, k] == probability
            assert policies.level[p, k] == level


@pytest.mark.parametrize("make_images", [random_images, smooth_images])
@pytest.mark.parametrize("negate", [(False, False), (False, True), (True, False), (True, True)])
def test_every_sub_policy_applied_in_full(negate: tuple[bool, bool], make_images):
    policies = replace(cifar_policies(), probability=np.ones((95, 2)))
    images = make_images(95)
    chances = replace(draw_chances(np.random.default_rng(1), 95), negate=np.tile(negate, (95, 1)))
    index = np.arange(95)
    ours = apply_policies(images, policies, index, chances)
    theirs = reference.apply_policies(images, NAMES, policies, index, chances)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])
    assert (~ours[1]).any()  # some pixels are uncovered, so the second comparison says something


@pytest.mark.parametrize("size", [32, 8])
def test_autoaugment_with_its_own_draws(size: int):
    images = random_images(400, size)
    draws = draw_autoaugment(np.random.default_rng(2), 400)
    ours = autoaugment(images, draws)
    theirs = reference.apply_policies(images, NAMES, cifar_policies(), draws.policy, draws.chances)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("seed", range(12))
def test_randaugment_with_its_own_draws(seed: int):
    images = random_images(40)
    draws = draw_randaugment(np.random.default_rng(seed), 40)
    names = [[Operation(code).name for code in draws.operation]]
    policies = Policies(draws.operation[None], np.array([[0.5, 0.5]]), draws.level[None])
    ours = randaugment(images, draws)
    theirs = reference.apply_policies(images, names, policies, np.zeros(40, int), draws.chances)
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_array_equal(ours[1], theirs[1])


def test_randaugment_is_the_same_chain_for_the_batch_but_chances_are_each_images():
    image = random_images(1)
    draws = RandAugmentDraws(
        np.array([Operation.Rotate, Operation.TranslateX]),
        np.array([9, 4]),
        draw_chances(np.random.default_rng(3), 400),
    )
    augmented, _ = randaugment(image.repeat(400, axis=0), draws)
    # rotation +, −, none × translation +, −, none
    assert len({picture.tobytes() for picture in augmented}) == 9


def test_fourteen_operations():
    names = {*("Identity", "AutoContrast", "Equalize", "Posterize", "Solarize"), *reference.ENHANCE, *reference.SIGNED}
    assert {operation.name for operation in OPERATIONS} == names
    assert len(OPERATIONS) == 14


def test_uncovered_pixels_stay_black_only_where_alpha_is_dropped_later():
    images = np.full((2, 32, 32, 3), 200, np.uint8)
    policies = Policies(
        np.array([[Operation.TranslateX, Operation.Posterize], [Operation.Posterize, Operation.TranslateX]]),
        np.ones((2, 2)),
        np.full((2, 2), 5),
    )
    chances = Chances(np.zeros((2, 2)), np.zeros((2, 2), bool), np.zeros((2, 2, 2)))
    augmented, covered = apply_policies(images, policies, np.array([0, 1]), chances)
    assert not augmented[:, :, -5:].any()
    assert covered[0].all()
    assert covered[1, :, :-5].all() and not covered[1, :, -5:].any()


def test_an_image_depends_on_its_own_row_only():
    images = random_images(20)
    draws = draw_autoaugment(np.random.default_rng(4), 20)
    everything = autoaugment(images, draws)
    for i in range(20):
        alone = autoaugment(images[i : i + 1], draws.rows(slice(i, i + 1)))
        np.testing.assert_array_equal(alone[0][0], everything[0][i])
        np.testing.assert_array_equal(alone[1][0], everything[1][i])


def test_inputs_are_left_alone():
    images = random_images(30)
    before = images.copy()
    autoaugment(images, draw_autoaugment(np.random.default_rng(5), 30))
    np.testing.assert_array_equal(images, before)


def test_read_only_and_strided_images():
    images = random_images(10)
    draws = draw_autoaugment(np.random.default_rng(6), 10)
    expected = autoaugment(images, draws)[0]
    strided = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    strided.setflags(write=False)
    np.testing.assert_array_equal(autoaugment(strided, draws)[0], expected)


def test_what_does_not_fit_is_refused():
    draws = draw_autoaugment(np.random.default_rng(7), 4)
    with pytest.raises(ValueError, match="3 images, but draws for 4"):
        autoaugment(random_images(3), draws)
    with pytest.raises(ValueError, match="expected uint8"):
        autoaugment(random_images(4).astype(np.float32), draws)
    with pytest.raises(ValueError, match="out of range"):
        autoaugment(random_images(4), AutoAugmentDraws(draws.policy + 95, draws.chances))
    with pytest.raises(ValueError, match="do not fit"):
        autoaugment(random_images(4), AutoAugmentDraws(draws.policy, draws.chances.rows(slice(0, 3))))


def test_empty_batch():
    augmented, covered = autoaugment(random_images(0), draw_autoaugment(np.random.default_rng(8), 0))
    assert augmented.shape == (0, 32, 32, 3) and covered.shape == (0, 32, 32)
