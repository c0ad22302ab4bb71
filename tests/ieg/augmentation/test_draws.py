"""What the draws are distributed like."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from ieg.augmentation.autoaugment import autoaugment, draw_autoaugment
from ieg.augmentation.randaugment import OPERATIONS, draw_randaugment
from ieg.augmentation.strong import StrongDraws, draw_strong
from ieg.augmentation.weak import draw_weak

BATCH = 40_000


def assert_uniform(values: np.ndarray, first: int, last: int) -> None:
    """Every integer of first…last, and no other, as often as the others within five standard deviations."""
    assert values.min() == first and values.max() == last
    counts = np.bincount(values.ravel() - first, minlength=last - first + 1)
    p = 1 / len(counts)
    assert np.abs(counts - values.size * p).max() < 5 * np.sqrt(values.size * p * (1 - p))


def assert_uniform_share(values: np.ndarray) -> None:
    """Uniform in [0,1)."""
    assert values.min() >= 0 and values.max() < 1
    assert_uniform((values * 20).astype(int), 0, 19)


def assert_half(values: np.ndarray) -> None:
    assert values.dtype == np.bool_
    assert_uniform(values.astype(int), 0, 1)


def assert_independent(a: np.ndarray, b: np.ndarray) -> None:
    """No correlation within five standard deviations."""
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(len(a))


@pytest.mark.parametrize("pad", [1, 2, 4])
def test_weak(pad: int):
    draws = draw_weak(np.random.default_rng(0), BATCH, pad)
    assert draws.offset.shape == (BATCH, 2) and draws.flip.shape == (BATCH,)
    assert_uniform(draws.offset[:, 0], 0, 2 * pad)
    assert_uniform(draws.offset[:, 1], 0, 2 * pad)
    assert_half(draws.flip)
    assert_independent(draws.offset[:, 0], draws.offset[:, 1])
    assert_independent(draws.offset[:, 0], draws.flip)


def test_autoaugment():
    draws = draw_autoaugment(np.random.default_rng(1), BATCH)
    assert_uniform(draws.policy, 0, 94)
    for k in range(2):
        assert_uniform_share(draws.chances.uniform[:, k])
        assert_half(draws.chances.negate[:, k])
    assert_uniform_share(draws.chances.centre)
    assert_independent(draws.chances.uniform[:, 0], draws.chances.uniform[:, 1])
    assert_independent(draws.chances.negate[:, 0], draws.chances.negate[:, 1])
    assert_independent(draws.chances.uniform[:, 0], draws.chances.negate[:, 0])
    assert_independent(draws.policy, draws.chances.uniform[:, 0])


def test_operations_are_applied_as_often_as_their_probability():
    """Sub-policy 1: Rotate 0.7, then TranslateX 0.3."""
    batch = 5_000
    draws = draw_autoaugment(np.random.default_rng(2), batch)
    draws.policy[:] = 1
    image = np.random.default_rng(3).integers(0, 256, (1, 32, 32, 3), np.uint8)
    augmented, covered = autoaugment(image.repeat(batch, axis=0), draws)
    untouched = (augmented == image).all(axis=(1, 2, 3)) & covered.all(axis=(1, 2))
    assert abs(untouched.mean() - 0.3 * 0.7) < 5 * np.sqrt(0.21 * 0.79 / batch)


def test_randaugment_shares_operations_and_levels_in_a_batch():
    draws = draw_randaugment(np.random.default_rng(4), BATCH)
    assert draws.operation.shape == draws.level.shape == (2,)
    assert draws.chances.uniform.shape == draws.chances.negate.shape == (BATCH, 2)
    assert draws.rows(slice(3, 9)).operation is draws.operation
    for k in range(2):
        assert_uniform_share(draws.chances.uniform[:, k])
        assert_half(draws.chances.negate[:, k])


def test_randaugment_over_batches():
    generator = np.random.default_rng(5)
    batches = [draw_randaugment(generator, 1) for _ in range(5_000)]
    operations = np.array([list(OPERATIONS).index(code) for draws in batches for code in draws.operation])
    assert_uniform(operations, 0, 13)
    assert_uniform(np.concatenate([draws.level for draws in batches]), 1, 9)
    repeated = np.mean([draws.operation[0] == draws.operation[1] for draws in batches])
    assert abs(repeated - 1 / 14) < 5 * np.sqrt(1 / 14 / 5_000)


@pytest.mark.parametrize("aug_type", ["autoaug", "randaug"])
def test_strong(aug_type: str):
    draws = draw_strong(np.random.default_rng(6), BATCH, aug_type)
    assert isinstance(draws, StrongDraws)
    assert_uniform(draws.offset[:, 0], 0, 7)
    assert_uniform(draws.offset[:, 1], 0, 7)
    assert_half(draws.flip)
    assert_uniform_share(draws.centre[:, 0])
    assert_uniform_share(draws.centre[:, 1])
    assert_independent(draws.offset[:, 0], draws.flip)
    assert_independent(draws.centre[:, 0], draws.centre[:, 1])
    assert_independent(draws.policy.chances.negate[:, 0], draws.flip)


@pytest.mark.parametrize("draw", [draw_weak, draw_autoaugment, draw_randaugment])
def test_same_seed_same_draws(draw):
    first, again, other = (pickle.dumps(draw(np.random.default_rng(seed), 50)) for seed in (7, 7, 8))
    assert first == again != other
