"""The demo: three methods on noisy digits, three seeds each; a table, learning curves, example weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from common.results.tables import csv_text, format_mean, markdown_table, mean, picture, sample_std, write_table
from reproduce.cells import Cell, Table
from reproduce.demos.pictures import example_weights, learning_curves
from reproduce.runs import Run
from reproduce.tables.paper_tables import values_of

HEADER = ["method", "mean ± std", "n", "each seed"]


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of these finished runs into `folder`; returns what to print."""
    rows = [_row(cell, values_of(cell, runs)) for cell in table.cells]
    note = (
        "Accuracy of the averaged weights at the last cycle end; std: sample standard deviation (n - 1). "
        "The data are small digits, so no published number is shown beside them."
    )
    text = f"### {table.title}\n\n{markdown_table(HEADER, rows)}\n{note}\n"
    write_table(folder, "table", text, csv_text(HEADER, rows), table.title, HEADER, rows)
    pictures = {
        "learning_curves": partial(learning_curves, runs, table.title),
        "example_weights": partial(example_weights, runs),
    }
    drawn = [path for name, draw in pictures.items() for path in picture(folder / f"{name}.png", draw)]
    return f"{text}\nPictures: {', '.join(map(str, drawn))}"


def _row(cell: Cell, values: list[float]) -> list[str]:
    """Name, mean ± std, n, and each seed's value of one cell; values in percent."""
    singles = ", ".join(f"{value:.1f}" for value in values)
    return [cell.row, format_mean(mean(values), sample_std(values)), str(len(values)), singles]
