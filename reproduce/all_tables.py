"""Which tables there are to show, each with its runs: the published ones, and any demo that was run."""

from __future__ import annotations

from pathlib import Path

from reproduce import demo
from reproduce.cells import CELLS, DEMO, Table, load_tables, select
from reproduce.runs import MISSING, Run, runs_of


def filled_tables(
    cells: Path | None, name: str | None, seeds: tuple[int, ...] | None, runs_dir: Path
) -> list[tuple[Table, list[Run]]]:
    """The tables of a cells file with their runs; without a file, all of the suite's, demos only if they were begun."""
    if cells is not None:
        return [(table, runs_of(table.cells, seeds, runs_dir)) for table in select(load_tables(cells), name)]
    demos = {table.name: demo.prepare(table) for table in load_tables(DEMO).values()}
    chosen = select(load_tables(CELLS) | demos, name)
    found = [(table, runs_of(table.cells, seeds, runs_dir)) for table in chosen]
    return [
        (table, runs)
        for table, runs in found
        if table.name not in demos or table.name == name or any(run.state != MISSING for run in runs)
    ]
