from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from reproduce.cells import load_tables
from reproduce.cells.files import CLAIMS
from reproduce.claims.definitions import Claim, Comparison, load_claims
from reproduce.claims.verdicts import CONTRADICTED, NOT_RUN, NOT_SUPPORTED, SUPPORTED, Effect, effect, findings
from reproduce.demo_cells import prepare
from tests.reproduce.conftest import cells_content

SEEDS = range(10)


def comparison(**changes: Any) -> Comparison:
    line = Comparison("a", "last accuracy", "small-a-0", "small-a-0.8", "", 1, 0.0, 2.0, "points")
    return dataclasses.replace(line, **changes)


@pytest.fixture
def claim(tmp_path: Path) -> Claim:
    import yaml

    path = tmp_path / "cells.yaml"
    content = cells_content()
    content["programs"]["ieg"]["seeds"] = list(SEEDS)
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    table = prepare(load_tables(path)["small"])
    curve = ("acc/ema_eval", "step")
    return Claim(
        "one", "IEG", "it wins", "wins", "a table", {}, "all of it", curve, (comparison(),), table.cells, (table,)
    )


def numbers(own: list[float], other: float = 0.5) -> dict[str, dict[int, dict[str, float]]]:
    """Accuracies of the two cells, a seed each."""
    return {
        "small-a-0": {seed: {"last accuracy": value} for seed, value in enumerate(own)},
        "small-a-0.8": {seed: {"last accuracy": other} for seed in range(len(own))},
    }


def verdict(claim: Claim, own: list[float], claims: int = 1) -> str:
    """On the first of so many claims, the others of which were not run."""
    absent = dataclasses.replace(claim, cells=tuple(dataclasses.replace(c, seeds=(99,)) for c in claim.cells))
    every = {"one": claim, **{f"other {number}": absent for number in range(1, claims)}}
    return findings(every, numbers(own))["one"].verdict


def test_an_effect_is_paired_and_in_points() -> None:
    found = effect(comparison(), numbers([0.61, 0.62, 0.63]))
    assert found.values == (pytest.approx(11), pytest.approx(12), pytest.approx(13))
    assert found.levels == (pytest.approx((61, 62, 63)), pytest.approx((50, 50, 50)))
    assert found.mean == pytest.approx(12)
    assert found.interval == (pytest.approx(12 - 4.302653 / 3**0.5), pytest.approx(12 + 4.302653 / 3**0.5))
    assert found.p == 0.25
    assert found.gain == pytest.approx(12)


def test_a_ratio_a_bound_and_a_number_alone() -> None:
    ratio = comparison(minus="", over="small-a-0.8", direction=-1, bound=2.0, unit="times", matters=0.1)
    found = effect(ratio, numbers([0.75, 0.8]))
    assert found.values == (1.5, 1.6)
    assert found.gain == pytest.approx(0.45)
    alone = effect(comparison(minus="", measure="1 - last accuracy", bound=30.0), numbers([0.6, 0.6, 0.6]))
    assert alone.mean == pytest.approx(40)
    assert alone.levels == (pytest.approx((40, 40, 40)),)
    assert [line.comparison.text(1.5) for line in (found, alone)] == ["1.50", "+1.5"]
    assert comparison(minus="").text(1.5) == "1.5"  # no difference, so no sign
    assert [comparison().text(number) for number in (-1.5, -0.01)] == ["−1.5", "−0.0"]
    assert alone.gain == pytest.approx(10)


def test_a_cell_is_called_by_its_row_and_by_its_column_where_there_are_several(claim: Claim) -> None:
    assert [claim.label(name) for name in ("small-a-0", "small-a-0.8")] == [
        "IEG wrn28-10 10/class, 0",
        "IEG wrn28-10 10/class, 0.8",
    ]
    assert dataclasses.replace(claim, cells=claim.cells[:1]).label("small-a-0") == "IEG wrn28-10 10/class"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([0.55 + 0.001 * seed for seed in SEEDS], SUPPORTED),
        ([0.51 + 0.001 * seed for seed in SEEDS], NOT_SUPPORTED),  # 1.45 points of the 2 that matter
        ([0.9 if seed % 2 else 0.2 for seed in SEEDS], NOT_SUPPORTED),  # large, and chance
        ([0.45 - 0.001 * seed for seed in SEEDS], CONTRADICTED),
        ([0.49 - 0.0001 * seed for seed in SEEDS], NOT_SUPPORTED),  # against it, but too little to matter
        ([0.9] * 9, NOT_RUN),  # a seed is missing
    ],
)
def test_the_rule(claim: Claim, own: list[float], expected: str) -> None:
    assert verdict(claim, own) == expected


def test_every_claim_counts_in_the_correction(claim: Claim) -> None:
    own = [0.55 + 0.001 * seed for seed in SEEDS]
    assert verdict(claim, own, claims=25) == SUPPORTED
    assert verdict(claim, own, claims=26) == NOT_SUPPORTED  # 26 × 2 / 1024 > 0.05


def test_all_comparisons_have_to_hold(claim: Claim) -> None:
    both = dataclasses.replace(claim, comparisons=(comparison(), comparison(direction=-1)))
    found = findings({"one": both}, numbers([0.55 + 0.001 * seed for seed in SEEDS]))["one"]
    assert found.verdict == CONTRADICTED
    assert found.p == 2 * 2 / 1024  # the one that is against it, times two
    weak = [0.45 if seed == 0 else 0.55 for seed in SEEDS]
    assert findings({"one": claim}, numbers(weak))["one"].p == found_p(effect(comparison(), numbers(weak)))


def test_what_contradicts_has_to_be_large_and_certain_at_once(claim: Claim) -> None:
    slight, chance = comparison(bound=100.0, matters=1000.0), comparison()
    both = dataclasses.replace(claim, comparisons=(slight, chance))
    found = findings({"one": both}, numbers([0.75 if seed % 2 else 0.15 for seed in SEEDS]))["one"]
    assert found.effects[0].p == 2 / 1024 and found.effects[1].p > 0.5
    assert (found.adjusted, found.verdict) == (4 / 1024, NOT_SUPPORTED)


def found_p(found: Effect) -> float:
    """22 of 1,024 patterns: no sign or one other than the nine that agree, both sides."""
    assert found.p == 22 / 1024
    return found.p


def test_the_claims_as_they_are_written() -> None:
    claims = load_claims(CLAIMS)
    for name, claim in claims.items():
        assert name.partition("-")[0] == claim.paper.lower(), name
        assert all(set(cell.seeds) <= set(range(10)) and len(cell.seeds) >= 5 for cell in claim.cells), name
        assert all(cell.gpus == 0 for cell in claim.cells), name
        assert all(line.matters >= 0 for line in claim.comparisons), name
