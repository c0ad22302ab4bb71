"""What the runs say of each claim. The rule is at the head of claims.yaml; this is that rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from common.results.tables import mean
from reproduce.claims.definitions import UNITS, Claim, Comparison, cell_name
from reproduce.claims.measures import value
from reproduce.claims.statistics import holm, sign_flip_p, t_interval

LEVEL = 0.05
SUPPORTED, NOT_SUPPORTED, CONTRADICTED, NOT_RUN = "supported", "not supported", "contradicted", "not run"
Numbers = Mapping[str, Mapping[int, Mapping[str, float]]]  # cell → seed → term → number


@dataclass(frozen=True)
class Effect:
    """A comparison's number of each seed, in its unit; their mean, 95 % interval, exact two-sided p of the bound.

    levels: of each of its cells what is compared, a number a seed.
    """

    comparison: Comparison
    levels: tuple[tuple[float, ...], ...]
    values: tuple[float, ...]
    mean: float
    interval: tuple[float, float]
    p: float

    @property
    def gain(self) -> float:
        """How far the mean lies beyond the bound, on the side that the claim says."""
        return self.comparison.direction * (self.mean - self.comparison.bound)


@dataclass(frozen=True)
class Finding:
    """A claim's effects, its p, the same after Holm's correction, and the verdict; no effects where it was not run."""

    claim: Claim
    effects: tuple[Effect, ...]
    p: float
    adjusted: float
    verdict: str


def effect(comparison: Comparison, numbers: Numbers) -> Effect:
    """From the numbers of every seed that all its cells have."""
    seeds = sorted(set.intersection(*(set(numbers[cell]) for cell in comparison.cells)))
    factor = UNITS[comparison.unit][0]
    measured = [[value(comparison.measure, numbers[cell][seed]) for seed in seeds] for cell in comparison.cells]
    levels = tuple(tuple(factor * number for number in own) for own in measured)
    values = tuple(factor * _compared(comparison, *of_seed) for of_seed in zip(*measured, strict=True))
    p = sign_flip_p([number - comparison.bound for number in values])
    return Effect(comparison, levels, values, mean(values), t_interval(values), p)


def findings(claims: Mapping[str, Claim], numbers: Numbers) -> dict[str, Finding]:
    """The verdict on each claim; Holm's correction counts every claim, those that were not run with p = 1."""
    effects = {
        name: tuple(effect(comparison, numbers) for comparison in claim.comparisons) if _is_run(claim, numbers) else ()
        for name, claim in claims.items()
    }
    values = [claim_p(found) for found in effects.values()]
    return {
        name: Finding(claims[name], found, p, adjusted, verdict(found, adjusted))
        for (name, found), p, adjusted in zip(effects.items(), values, holm(values), strict=True)
    }


def claim_p(effects: tuple[Effect, ...]) -> float:
    """All comparisons on the claim's side: the largest p. Else the smallest p of those on the other side × how many."""
    against = [found.p for found in effects if found.gain < 0]
    if against:
        return min(1.0, len(effects) * min(against))
    return max((found.p for found in effects), default=1.0)


def verdict(effects: tuple[Effect, ...], adjusted: float) -> str:
    """By the rule of claims.yaml."""
    if not effects:
        return NOT_RUN
    if adjusted <= LEVEL and all(found.gain >= max(0.0, found.comparison.matters) for found in effects):
        return SUPPORTED
    if adjusted <= LEVEL and any(_counts_against(found, len(effects)) for found in effects):
        return CONTRADICTED
    return NOT_SUPPORTED


def _counts_against(found: Effect, count: int) -> bool:
    return found.gain < 0 and -found.gain >= found.comparison.matters and count * found.p <= LEVEL


def _is_run(claim: Claim, numbers: Numbers) -> bool:
    return all(set(cell.seeds) <= set(numbers.get(cell_name(cell), {})) for cell in claim.cells)


def _compared(comparison: Comparison, own: float, other: float = 0.0) -> float:
    return own / other if comparison.over else own - other
