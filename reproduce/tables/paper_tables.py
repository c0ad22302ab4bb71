"""A table with what our runs gave beside what was published."""

from __future__ import annotations

from collections.abc import Sequence

from common import result_table
from common.result_table import ResultTable
from reproduce.cells import Cell, Table
from reproduce.runs import Run
from reproduce.tables.comparison import NOT_AT_HAND, Standing, standing, standings


def values_of(cell: Cell, runs: list[Run]) -> list[float]:
    """The cell's numbers in percent, of its finished runs only, in the order of the seeds."""
    return list(standing(cell, [run for run in runs if run.cell is cell]).values)


def filled(table: Table, runs: list[Run]) -> ResultTable:
    """The table with the numbers of these runs."""
    return with_standings(table, standings(table.cells, runs))


def with_standings(table: Table, results: Sequence[Standing]) -> ResultTable:
    """The table with these numbers."""
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
