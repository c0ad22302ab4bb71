"""What the runs of a cell gave beside what was published: mean, spread, and the gap between the two."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from common.tables import STATISTICS
from reproduce.cells import Cell, Reference
from reproduce.runs import DONE, Run, by_cell

# What each source of a published number is, the one that the gap is told against first.
SOURCES = {
    "paper": "read in the paper's own table",
    "cited": "the paper's value, as printed beside an independent re-run",
    "authors": "from the authors' repository",
    "aggregator": "from a third-party page, unverified",
    "rerun": "that re-run's own value",
}
GAP = (
    "Gap: ours minus published, in points, and in published standard deviations; in ours where none was published"
    " or it is 0."
)

NOT_RUN, ALONE, NO_STD = "not run", "no published value", "no standard deviation"
WITHIN_1, WITHIN_2, FARTHER = "within 1 std", "within 2 std", "farther than 2 std"
VERDICTS = (WITHIN_1, WITHIN_2, FARTHER, NO_STD, ALONE, NOT_RUN)


@dataclass(frozen=True)
class Gap:
    """Ours minus one published value: in points, and in standard deviations where there are any."""

    reference: Reference
    points: float
    stds: float | None

    def text(self, digits: int) -> str:
        """`gap to paper +0.3 points, +0.6 std`."""
        in_stds = "" if self.stds is None else f", {round(self.stds, 1) + 0.0:+.1f} std"
        return f"gap to {self.reference.source} {round(self.points, digits) + 0.0:+.{digits}f} points{in_stds}"


@dataclass(frozen=True)
class Standing:
    """A cell with its numbers in percent, of its finished runs only, in the order of samples and seeds.

    `asked`: how many runs the cell asks for. `gaps`: one for each published value, that of the paper first.
    """

    cell: Cell
    runs: tuple[Run, ...]
    values: tuple[float, ...]
    asked: int
    mean: float | None
    std: float | None
    gaps: tuple[Gap, ...]


def standings(cells: Iterable[Cell], runs: list[Run]) -> list[Standing]:
    """Where each cell stands, in their order."""
    own = by_cell(runs)
    return [standing(cell, own.get(cell.id, [])) for cell in cells]


def standing(cell: Cell, runs: list[Run]) -> Standing:
    """Where one cell stands; `runs` are its own, in whatever state."""
    statistic = STATISTICS[cell.statistic]
    done = tuple(run for run in runs if run.state == DONE and run.result)
    values = tuple(statistic.percent(run.result["metrics"][cell.metric]) for run in done if run.result)
    if not values:
        return Standing(cell, done, values, len(runs), None, None, ())
    mean, std = statistic.summary(values)
    known = sorted(cell.references, key=lambda reference: list(SOURCES).index(reference.source))
    gaps = tuple(_gap(mean, std, reference) for reference in known)
    return Standing(cell, done, values, len(runs), mean, std, gaps)


def _gap(mean: float, std: float | None, reference: Reference) -> Gap:
    points = mean - reference.value
    unit = reference.std or std
    return Gap(reference, points, points / unit if unit else None)


def verdict(own: Standing) -> str:
    """How far a cell is, in a word or two: one of VERDICTS."""
    if not own.values:
        return NOT_RUN
    if not own.gaps:
        return ALONE
    stds = own.gaps[0].stds
    if stds is None:
        return NO_STD
    return WITHIN_1 if abs(stds) <= 1 else WITHIN_2 if abs(stds) <= 2 else FARTHER
