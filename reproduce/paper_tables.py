"""A table of cells.yaml with what our runs gave beside what was published."""

from __future__ import annotations

from pathlib import Path

from reproduce.cells import Cell, Table
from reproduce.files import atomic_write
from reproduce.runs import DONE, Run
from reproduce.tables import csv_text, draw_table, format_mean, format_values, markdown_table, mean, sample_std

NOT_RUN = "not run"
CSV_HEADER = [
    *("cell", "row", "column", "metric", "n", "mean", "sample_std", "values"),
    *("published", "published_std", "source", "gap", "records"),
]


def values_of(cell: Cell, runs: list[Run]) -> list[float]:
    """The cell's numbers in percent, of its finished runs only, in the order of the seeds."""
    return [
        100 * run.result["metrics"][cell.metric]
        for run in runs
        if run.cell is cell and run.state == DONE and run.result
    ]


def grid(table: Table, runs: list[Run], separator: str = "<br>") -> tuple[list[str], list[list[str]]]:
    """Header and rows as text: ours, and the published value with its source below it."""
    texts = {(cell.row, cell.column): separator.join(_texts(cell, runs)) for cell in table.cells}
    header = [table.columns_are, *table.columns]
    return header, [[row, *(texts[row, column] for column in table.columns)] for row in table.rows]


def markdown(table: Table, runs: list[Run]) -> str:
    """The table with its caption."""
    note = (
        "Ours: mean ± sample standard deviation (n - 1) over seeds; accuracy at the last cycle end, "
        "never the best on test."
    )
    return f"### {table.title}\n\n{markdown_table(*grid(table, runs))}\n{note}\n"


def csv(table: Table, runs: list[Run]) -> str:
    """One line a cell, with every value in full precision and where its records are."""
    lines = []
    for cell in table.cells:
        values = values_of(cell, runs)
        centre = mean(values) if values else None
        gap = centre - cell.published if centre is not None and cell.published is not None else None
        records = [str(run.record_folder) for run in runs if run.cell is cell and run.state == DONE]
        lines.append(
            [
                *(cell.id, cell.row, cell.column, cell.metric, len(values), centre),
                *(sample_std(values) if values else None, " ".join(map(repr, values))),
                *(cell.published, cell.published_std, cell.source, gap, " ".join(records)),
            ]
        )
    return csv_text(CSV_HEADER, lines)


def write(table: Table, runs: list[Run], folder: Path) -> str:
    """Write the table as .md, .csv and .png; returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(table, runs)
    atomic_write(folder / f"{table.name}.md", text)
    atomic_write(folder / f"{table.name}.csv", csv(table, runs))
    draw_table(folder / f"{table.name}.png", table.title, *grid(table, runs, "\n"))
    return text


def _texts(cell: Cell, runs: list[Run]) -> list[str]:
    values = values_of(cell, runs)
    ours = format_values(values) if values else NOT_RUN
    if cell.published is None:
        return [ours]
    return [ours, f"{cell.source} {format_mean(cell.published, cell.published_std)}"]
