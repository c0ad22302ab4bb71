"""Which tables there are to show, each with its runs: the published ones, and what was begun, imported or kept."""

from __future__ import annotations

from pathlib import Path

from reproduce.cells import DEMO, EVIDENCE, Table, load_tables, select
from reproduce.demo_cells import prepare
from reproduce.keep import RECORDS
from reproduce.runs import MISSING, Run, runs_of
from reproduce.tables.imported import imported_tables

EVERY = "the papers' tables, and those of other runs that are there"
Filled = list[tuple[Table, list[Run]]]


def filled_tables(cells: Path | None, name: str | None, seeds: tuple[int, ...] | None, runs_dir: Path) -> Filled:
    """The tables of a cells file with their runs; without one, all of the suite's.

    The papers' are always there; demos, imported logs and kept evidence only where there are runs, or if asked for.
    """
    if cells is not None:
        return [(table, runs_of(table.cells, seeds, runs_dir)) for table in select(load_tables(cells), name)]
    papers, evidence = load_tables(), load_tables(EVIDENCE)
    demos = {table.name: prepare(table) for table in load_tables(DEMO).values()}
    imported = {table.name: (table, runs) for table, runs in imported_tables(runs_dir, papers)}
    every = papers | demos | {name: table for name, (table, _) in imported.items()} | evidence
    filled: Filled = []
    for table in select(every, name):
        if table.name in imported:
            filled.append(imported[table.name])
            continue
        runs = runs_of(table.cells, seeds, RECORDS if table.name in evidence else runs_dir)
        if table.name in papers or name is not None or any(run.state != MISSING for run in runs):
            filled.append((table, runs))
    return filled
