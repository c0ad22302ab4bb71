"""Statistics of paired differences: Student's interval, the exact sign-flip test, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

from common.results.tables import mean, sample_std

MOST_PAIRS = 16  # 2^16 sign patterns; with more the exact test takes minutes
ROUNDING = 1e-9  # of the mean absolute value: equal means that were added in another order


def sign_flip_p(values: Sequence[float]) -> float:
    """Two-sided exact p of the hypothesis that the values are symmetric about 0.

    The share of all 2^n patterns of signs whose mean is at least as far from 0. Raises: ValueError for no values or
    more than MOST_PAIRS.
    """
    if not 1 <= len(values) <= MOST_PAIRS:
        raise ValueError(f"{len(values)} values: the exact test is for 1 to {MOST_PAIRS}")
    sizes = [abs(value) for value in values]
    observed = abs(math.fsum(values)) - ROUNDING * math.fsum(sizes)
    patterns = product((1, -1), repeat=len(sizes))
    sums = [math.fsum(sign * size for sign, size in zip(signs, sizes, strict=True)) for signs in patterns]
    return sum(abs(total) >= observed for total in sums) / len(sums)


def t_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Student's interval of the mean. Raises: ValueError for fewer than two values."""
    spread = sample_std(values)
    if spread is None:
        raise ValueError(f"{len(values)} value: an interval needs two at least")
    half = t_quantile(0.5 + level / 2, len(values) - 1) * spread / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def t_quantile(probability: float, freedom: int) -> float:
    """Below which a variable of Student's t with that many degrees of freedom falls with this probability, 0.5 to 1."""
    low, high = 0.0, 1.0
    while _t_probability(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_probability(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p of several hypotheses, in the order given; at most 1."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = largest
    return adjusted


def _t_probability(t: float, freedom: int) -> float:
    """P(T ≤ t) for t ≥ 0: the finite series for whole degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(odd, freedom - 1, 2):  # cos^k times a product of ratios of whole numbers
        total += term
        term *= (k + 1) / (k + 2) * cosine**2
    within = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + within / 2
