"""A table of cells.yaml with what our runs gave beside what was published."""

from __future__ import annotations

from pathlib import Path

from reproduce.cells import Cell, Table
from reproduce.runs import DONE, Run
from reproduce.tables import STATISTICS, csv_text, format_mean, markdown_table, write_table

NOT_RUN = "not run"
SOURCES = {
    "cited": "the paper's value, as printed beside an independent re-run",
    "rerun": "that re-run's own value",
    "authors": "from the authors' repository",
    "aggregator": "from a third-party page, unverified",
}


def values_of(cell: Cell, runs: list[Run]) -> list[float]:
    """The cell's numbers in percent, of its finished runs only, in the order of the seeds."""
    return [
        STATISTICS[cell.statistic].percent(run.result["metrics"][cell.metric])
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
    over = "seeds" if all(len(cell.samples) == 1 for cell in table.cells) else "seeds and samples of the noise"
    spread = STATISTICS[table.cells[0].statistic].name
    note = f"Ours: mean ± {spread} over {over}; {table.taken}, never the best on test."
    named = {known.source for cell in table.cells for known in cell.references}
    note += "".join(f"\n{source}: {meaning}." for source, meaning in SOURCES.items() if source in named)
    return f"### {table.title}\n\n{markdown_table(*grid(table, runs))}\n{note}\n"


def csv(table: Table, runs: list[Run]) -> str:
    """One line a cell and published value, with every value in full precision and where its records are."""
    header = [
        *("cell", "row", "column", "metric", "n", "mean", table.cells[0].statistic, "values"),
        *("published", "published_std", "source", "gap", "records"),
    ]
    lines = []
    for cell in table.cells:
        values = values_of(cell, runs)
        centre, std = STATISTICS[cell.statistic].summary(values) if values else (None, None)
        ours = [cell.id, cell.row, cell.column, cell.metric, len(values), centre, std, " ".join(map(repr, values))]
        records = " ".join(str(run.record_folder) for run in runs if run.cell is cell and run.state == DONE)
        for known in cell.references or (None,):
            published = [known.value, known.std, known.source] if known else [None] * 3
            gap = centre - known.value if centre is not None and known else None
            lines.append([*ours, *published, gap, records])
    return csv_text(header, lines)


def write(table: Table, runs: list[Run], folder: Path) -> str:
    """Write the table as .md, .csv and .png; returns the Markdown."""
    text = markdown(table, runs)
    write_table(folder, table.name, text, csv(table, runs), table.title, *grid(table, runs, "\n"))
    return text


def _texts(cell: Cell, runs: list[Run]) -> list[str]:
    values, statistic = values_of(cell, runs), STATISTICS[cell.statistic]
    ours = statistic.with_values(values) if values else NOT_RUN
    return [
        ours,
        *(f"{known.source} {format_mean(known.value, known.std, statistic.digits)}" for known in cell.references),
    ]
