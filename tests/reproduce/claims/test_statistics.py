from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import pytest

from reproduce.claims.statistics import holm, sign_flip_p, t_interval, t_quantile

# Student's quantiles of standard tables: probability, degrees of freedom, value.
QUANTILES = [
    (0.975, 1, 12.7062),
    (0.975, 2, 4.30265),
    (0.975, 3, 3.18245),
    (0.975, 4, 2.77645),
    (0.975, 9, 2.26216),
    (0.995, 9, 3.24984),
    (0.95, 10, 1.81246),
    (0.975, 30, 2.04227),
]


@pytest.mark.parametrize(("probability", "freedom", "expected"), QUANTILES)
def test_quantiles_of_student(probability: float, freedom: int, expected: float) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(expected, rel=1e-5)


def test_quantiles_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in range(1, 40):
        for probability in (0.6, 0.9, 0.975, 0.999):
            assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-9)


def test_the_interval_of_a_known_sample() -> None:
    low, high = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    half = 2.776445105 * math.sqrt(2.5 / 5)
    assert (low, high) == (pytest.approx(3 - half), pytest.approx(3 + half))
    with pytest.raises(ValueError, match="two at least"):
        t_interval([1.0])


def exact(values: list[int]) -> Fraction:
    """The definition, in whole numbers."""
    sums = [sum(s * v for s, v in zip(signs, values, strict=True)) for signs in product((1, -1), repeat=len(values))]
    return Fraction(sum(abs(total) >= abs(sum(values)) for total in sums), len(sums))


@pytest.mark.parametrize("values", [[1, 2, 3], [5, -1, 2, 2], [0, 0, 0], [3, -3], [7, 1, 1, -2, 4, 0]])
def test_sign_flips_by_their_definition(values: list[int]) -> None:
    assert sign_flip_p([float(value) for value in values]) == float(exact(values))


def test_sign_flips_of_one_side_are_the_smallest_p() -> None:
    assert sign_flip_p([0.1 * k for k in range(1, 11)]) == 2 / 1024
    assert sign_flip_p([-0.3, -0.1, -0.7, -0.2, -0.1]) == 2 / 32
    assert sign_flip_p([0.1, 0.2, 0.3]) == 0.25  # 0.1 + 0.2 is not 0.3 in binary: it must count all the same


def test_sign_flips_refuse_what_they_cannot_count() -> None:
    for values in ([], [1.0] * 17):
        with pytest.raises(ValueError, match="1 to 16"):
            sign_flip_p(values)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), pytest.approx(0.06)]
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([2 / 1024] * 17) == [pytest.approx(17 * 2 / 1024)] * 17
