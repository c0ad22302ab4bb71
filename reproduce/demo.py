"""The demo: three methods on noisy digits, three seeds each; a table, learning curves, example weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from reproduce.cells import Cell, Table
from reproduce.demo_pictures import example_weights, learning_curves
from reproduce.files import atomic_write
from reproduce.paper_tables import values_of
from reproduce.runs import DONE, Run
from reproduce.tables import csv_text, draw_table, format_mean, markdown_table, mean, sample_std

HEADER = ["method", "mean ± std", "n", "each seed"]


def prepare(table: Table) -> Table:
    """The table with a hash of each cell's command in its id, so that other settings get other folders."""
    cells = []
    for cell in table.cells:
        settings = json.dumps([cell.program, dict(cell.flags)], sort_keys=True)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        cells.append(dataclasses.replace(cell, id=f"{cell.id}-{digest}"))
    return dataclasses.replace(table, cells=tuple(cells))


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of the finished runs into `folder`; returns what to print."""
    folder.mkdir(parents=True, exist_ok=True)
    done = [run for run in runs if run.state == DONE]
    rows = [_row(cell, values_of(cell, done)) for cell in table.cells]
    note = (
        "Accuracy of the averaged weights at the last cycle end; std: sample standard deviation (n - 1). "
        "The data are small digits, so no published number stands beside these."
    )
    text = f"### {table.title}\n\n{markdown_table(HEADER, rows)}\n{note}\n"
    atomic_write(folder / "table.md", text)
    atomic_write(folder / "table.csv", csv_text(HEADER, rows))
    draw_table(folder / "table.png", table.title, HEADER, rows)
    learning_curves(done, table.title, folder / "learning_curves.png")
    example_weights(done, folder / "example_weights.png")
    pictures = ", ".join(str(folder / name) for name in ("learning_curves.png", "example_weights.png"))
    return f"{text}\nPictures: {pictures}"


def _row(cell: Cell, values: list[float]) -> list[str]:
    if not values:
        return [cell.row, "not run", "0", "-"]
    singles = ", ".join(f"{value:.1f}" for value in values)
    return [cell.row, format_mean(mean(values), sample_std(values)), str(len(values)), singles]
