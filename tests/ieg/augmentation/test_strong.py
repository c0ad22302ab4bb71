"""The strong copy, whole, against Pillow and numpy; and split over threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ieg.augmentation.autoaugment import AutoAugmentDraws, cifar_policies
from ieg.augmentation.operations import Operation
from ieg.augmentation.policies import Policies
from ieg.augmentation.strong import (
    AUG_TYPES,
    StrongDraws,
    draw_strong,
    make_strong_copy,
    strong_augment,
    to_bytes,
)
from ieg.augmentation.weak import draw_weak, normalize, weak_augment
from tests.ieg.augmentation import pillow_reference as reference


def weak_batch(batch: int, size: int = 32, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (batch, size, size, 3), np.uint8)
    return images, weak_augment(images, draw_weak(generator, batch))


def strong_draws(batch: int, aug_type: str, seed: int = 0) -> StrongDraws:
    draws = draw_strong(np.random.default_rng(seed), batch, aug_type)
    assert isinstance(draws, StrongDraws)
    return draws


def slow_strong(x: np.ndarray, draws: StrongDraws) -> np.ndarray:
    """From the images of the policy on: float64, numpy slices."""
    images = ((x / 2 + np.float32(0.5)) * np.float32(255)).astype(np.uint8)
    if isinstance(draws.policy, AutoAugmentDraws):
        policies, index = cifar_policies(), draws.policy.policy
    else:
        policies = Policies(draws.policy.operation[None], np.full((1, 2), 0.5), draws.policy.level[None])
        index = np.zeros(len(x), int)
    names = [[Operation(code).name for code in codes] for codes in policies.operation]
    images, covered = reference.apply_policies(images, names, policies, index, draws.policy.chances)
    strong = np.empty(x.shape)
    for i in range(len(x)):
        picture = 2 * (images[i] / 255 - 0.5)
        picture[~covered[i]] = 0
        strong[i] = crop_and_cut(picture, draws, i)
    return strong


def crop_and_cut(picture: np.ndarray, draws: StrongDraws, i: int) -> np.ndarray:
    size = len(picture)
    picture = reference.crop_and_flip(picture, 4, 0, draws.offset[i], draws.flip[i]).copy()
    row, column = (int(share * size) for share in draws.centre[i])
    picture[max(0, row - 8) : min(size, row + 8), max(0, column - 8) : min(size, column + 8)] = 0
    return picture


@pytest.mark.parametrize("size", [32, 12])
@pytest.mark.parametrize("aug_type", ["autoaug", "randaug"])
def test_against_pillow_and_slices(aug_type: str, size: int):
    for seed in range(4):
        _, x = weak_batch(60, size, seed)
        draws = strong_draws(60, aug_type, seed)
        strong = strong_augment(x, draws)
        assert strong.dtype == np.float32
        np.testing.assert_allclose(strong, slow_strong(x, draws), rtol=0, atol=1e-7)


def test_truncation_loses_one_of_each_value_from_1_to_63():
    values = np.arange(256)
    back = to_bytes(normalize(values.astype(np.uint8)))
    lost = (values >= 1) & (values <= 63)
    np.testing.assert_array_equal(back, values - lost)


def test_truncation_is_the_same_in_float64():
    """AutoAugment's own program computes this step in float64, RandAugment's in float32."""
    x = normalize(np.arange(256, dtype=np.uint8))
    np.testing.assert_array_equal(to_bytes(x), ((x.astype(np.float64) * 0.5 + 0.5) * 255).astype(np.uint8))


def no_policy(draws: StrongDraws) -> StrongDraws:
    """The same draws, but no operation is applied."""
    chances = replace(draws.policy.chances, uniform=np.ones_like(draws.policy.chances.uniform))
    return replace(draws, policy=replace(draws.policy, chances=chances))


@pytest.mark.parametrize("centre, cut", [(0.0, 8 * 8), (0.5, 16 * 16), (0.99, 9 * 9), (0.25, 16 * 16), (0.22, 15 * 15)])
def test_cutout_is_clipped_at_the_border(centre: float, cut: int):
    x = np.ones((1, 32, 32, 3), np.float32)
    draws = no_policy(strong_draws(1, "autoaug"))
    draws = replace(draws, offset=np.array([[4, 4]]), centre=np.full((1, 2), centre))
    strong = strong_augment(x, draws)
    assert int((strong == 0).sum()) == 3 * cut
    assert int((strong == 1).sum()) == 3 * (32 * 32 - cut)


def test_padding_is_grey():
    x = np.ones((1, 32, 32, 3), np.float32)
    draws = no_policy(strong_draws(1, "autoaug"))
    draws = replace(draws, offset=np.array([[0, 7]]), flip=np.array([False]), centre=np.full((1, 2), 0.5))
    strong = strong_augment(x, draws)[0]
    assert (strong[:4] == 0).all() and (strong[:, -3:] == 0).all()
    assert (strong[4:8, :8] == 1).all()


def test_default_is_a_second_weak_augmentation_of_the_originals():
    images, x = weak_batch(50)
    draws = draw_strong(np.random.default_rng(9), 50, "default")
    copy = make_strong_copy(images, x, draws)
    np.testing.assert_array_equal(copy, weak_augment(images, draw_weak(np.random.default_rng(9), 50)))
    assert (copy != x).any()


def test_unknown_type():
    with pytest.raises(ValueError, match="'cutmix', not one of autoaug, randaug, default"):
        draw_strong(np.random.default_rng(0), 4, "cutmix")


@pytest.mark.parametrize("aug_type", AUG_TYPES)
def test_same_seed_same_copy_other_seed_another(aug_type: str):
    images, x = weak_batch(30)
    first, again, other = (
        make_strong_copy(images, x, draw_strong(np.random.default_rng(seed), 30, aug_type)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("aug_type", AUG_TYPES)
def test_slices_over_threads_give_what_one_call_gives(aug_type: str):
    images, _ = weak_batch(97)
    generator = np.random.default_rng(3)
    weak, strong = draw_weak(generator, 97), draw_strong(generator, 97, aug_type)

    def both(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        x = weak_augment(images[rows], weak.rows(rows))
        return x, make_strong_copy(images[rows], x, strong.rows(rows))

    whole = both(slice(None))
    for cuts in ([0, 48, 97], [0, 1, 2, 96, 97], list(range(0, 98))):
        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(both, [slice(a, b) for a, b in pairwise(cuts)]))
        for k in range(2):
            np.testing.assert_array_equal(np.concatenate([part[k] for part in parts]), whole[k])


def test_x_is_left_alone():
    _, x = weak_batch(20)
    before = x.copy()
    strong_augment(x, strong_draws(20, "autoaug"))
    np.testing.assert_array_equal(x, before)
