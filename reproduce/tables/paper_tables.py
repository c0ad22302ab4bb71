"""The papers' tables: what our runs gave beside what was published."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.results import result_table
from common.results.result_table import NOT_RUN, Result, ResultTable
from common.results.tables import STATISTICS
from reproduce.cells import Cell, Table
from reproduce.runs import DONE, Run, by_cell

ALONE, NO_STD = "no published value", "no standard deviation"
WITHIN_1, WITHIN_2, FARTHER = "within 1 std", "within 2 std", "farther than 2 std"
VERDICTS = (WITHIN_1, WITHIN_2, FARTHER, NO_STD, ALONE, NOT_RUN)
NOT_AT_HAND = "published -"


@dataclass(frozen=True, kw_only=True)
class Standing(Result):
    """A cell with its numbers in percent, of its finished runs only, in the order of samples and seeds.

    `asked`: how many runs the cell asks for.
    """

    cell: Cell
    runs: tuple[Run, ...]
    asked: int


def standings(cells: Iterable[Cell], runs: list[Run]) -> list[Standing]:
    """The standing of each cell, in their order."""
    by_id = by_cell(runs)
    return [standing(cell, by_id.get(cell.id, [])) for cell in cells]


def standing(cell: Cell, runs: list[Run]) -> Standing:
    """The standing of one cell; `runs` are all of it, in whatever state."""
    done = tuple(run for run in runs if run.state == DONE and run.result)
    statistic = STATISTICS[cell.statistic]
    return Standing(
        id=cell.id,
        row=cell.row,
        column=cell.column,
        metric=cell.metric,
        statistic=cell.statistic,
        values=tuple(statistic.percent(run.result["metrics"][cell.metric]) for run in done if run.result),
        records=tuple(str(run.record_folder) for run in done),
        references=cell.references,
        unpublished=NOT_AT_HAND if cell.gpus > 0 else "",  # a demo's value was never published
        cell=cell,
        runs=done,
        asked=len(runs),
    )


def verdict(result: Result) -> str:
    """How far a cell is from its published value, in a word or two: one of VERDICTS."""
    if not result.values:
        return NOT_RUN
    if not result.gaps:
        return ALONE
    stds = result.gaps[0].stds
    if stds is None:
        return NO_STD
    return WITHIN_1 if abs(stds) <= 1 else WITHIN_2 if abs(stds) <= 2 else FARTHER


def values_of(cell: Cell, runs: list[Run]) -> list[float]:
    """The cell's numbers in percent, of its finished runs only, in the order of the seeds."""
    return list(standing(cell, [run for run in runs if run.cell is cell]).values)


def filled(table: Table, runs: list[Run]) -> ResultTable:
    """The table with the numbers of these runs."""
    results = standings(table.cells, runs)
    return ResultTable(
        table.name, table.title, table.columns_are, table.rows, table.columns, table.cells[0].statistic,
        tuple(results), note(table, results), table.quoted,
    )  # fmt: skip


def note(table: Table, results: Sequence[Standing]) -> str:
    """The lines below the table."""
    over = "seeds" if all(len(cell.samples) == 1 for cell in table.cells) else "seeds and samples of the noise"
    not_at_hand = any(result.unpublished and not result.references for result in results)
    quoted = f"Without a value of ours: {', '.join(table.quoted)}: {table.not_run}." if table.quoted else ""
    missing = f"{NOT_AT_HAND}: published value not at hand." if not_at_hand else ""
    return result_table.note(table.cells[0].statistic, over, table.taken, tuple(results), missing, quoted)
