from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from common.results.latex import escaped, latex_table
from common.results.published import SOURCES, Reference, references
from common.results.result_table import NOT_RUN
from reproduce.cells import Cell, load_tables
from reproduce.runs import DONE, MISSING, Run
from reproduce.tables.paper_tables import (
    ALONE,
    FARTHER,
    NO_STD,
    VERDICTS,
    WITHIN_1,
    WITHIN_2,
    Standing,
    standing,
    verdict,
)

PAPER, RERUN = Reference("paper", 93.7, 0.5), Reference("rerun", 80.0, None)


@pytest.fixture
def cell(write_cells: Callable[..., Path]) -> Cell:
    return load_tables(write_cells())["small"].cells[1]


def standing_of(cell: Cell, *accuracies: float, references: tuple[Reference, ...]) -> Standing:
    known = replace(cell, references=references)
    runs = [
        Run(known, seed, "", Path(str(seed)), DONE, result={"metrics": {"accuracy": value}})
        for seed, value in enumerate(accuracies)
    ]
    return standing(known, [*runs, Run(known, 9, "", Path("9"), MISSING)])


def test_the_gap_is_told_against_the_papers_value_first(cell: Cell) -> None:
    numbers = {"r": 80.0, "a": {"c": [93.7, 0.5]}}
    known = references({"rerun": ["{row}"], "paper": ["a", "{column}"]}, numbers, row="r", column="c")
    assert known == (PAPER, RERUN)
    own = standing_of(cell, 0.935, 0.945, references=known)
    assert (own.mean, own.asked) == (pytest.approx(94.0), 3)
    assert [gap.reference.source for gap in own.gaps] == ["paper", "rerun"]
    first, second = own.gaps
    assert (first.points, first.stds) == (pytest.approx(0.3), pytest.approx(0.6))
    assert (second.points, second.stds) == (pytest.approx(14.0), pytest.approx(14 / 0.5**0.5))
    gap = "gap to paper +0.3 points, +0.6 std"  # alone
    assert own.texts() == ["94.0 ± 0.7 (n = 2: 93.5, 94.5)", "paper 93.7 ± 0.5", "rerun 80.0", gap]


def test_without_any_spread_there_are_points_alone(cell: Cell) -> None:
    (gap,) = standing_of(cell, 0.79, references=(RERUN,)).gaps
    assert gap.text(2) == "gap to rerun -1.00 points"
    (gap,) = standing_of(cell, 0.9371, references=(PAPER,)).gaps
    assert gap.text(1) == "gap to paper +0.0 points, +0.0 std"


@pytest.mark.parametrize(
    ("accuracies", "references", "expected"),
    [
        ((), (PAPER,), NOT_RUN),
        ((0.9,), (), ALONE),
        ((0.9,), (RERUN,), NO_STD),
        ((0.9419,), (PAPER,), WITHIN_1),
        ((0.9271,), (PAPER,), WITHIN_2),
        ((0.9471,), (PAPER,), FARTHER),
    ],
)
def test_verdicts(cell: Cell, accuracies: tuple[float, ...], references: tuple[Reference, ...], expected: str) -> None:
    assert verdict(standing_of(cell, *accuracies, references=references)) == expected
    assert expected in VERDICTS


def test_every_source_of_a_published_number_is_explained() -> None:
    used = {known.source for table in load_tables().values() for cell in table.cells for known in cell.references}
    assert used <= set(SOURCES)


def test_latex_byte_for_byte() -> None:
    assert escaped("50 % of a_b & {σ} ± 1 \\ ~ #$^") == (
        r"50 \% of a\_b \& \{$\sigma$\} $\pm$ 1 \textbackslash{} \textasciitilde{} \#\$\textasciicircum{}"
    )
    assert latex_table("A % table", ["row", "0.8"], [["IEG", "94.0 ± 0.7\npaper 93.7"]], "A note.\nMore.", "t-1") == (
        "\\begin{table}\n"
        "  \\centering\n"
        "  \\caption{A \\% table. A note. More.}\n"
        "  \\label{tab:t-1}\n"
        "  \\begin{tabular}{ll}\n"
        "    \\hline\n"
        "    row & 0.8 \\\\\n"
        "    \\hline\n"
        "    IEG & \\shortstack[l]{94.0 $\\pm$ 0.7 \\\\ paper 93.7} \\\\\n"
        "    \\hline\n"
        "  \\end{tabular}\n"
        "\\end{table}\n"
    )
