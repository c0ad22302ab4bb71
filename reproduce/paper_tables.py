"""A table of cells.yaml with what our runs gave beside what was published."""

from __future__ import annotations

from pathlib import Path

from reproduce.cells import Cell, Table
from reproduce.files import atomic_write
from reproduce.latex import latex_table
from reproduce.runs import Run
from reproduce.standing import GAP, NOT_RUN, SOURCES, Standing, standing, standings
from reproduce.tables import STATISTICS, csv_text, format_mean, markdown_table, write_table

FORMS = "Markdown, CSV, LaTeX and PNG"


def values_of(cell: Cell, runs: list[Run]) -> list[float]:
    """The cell's numbers in percent, of its finished runs only, in the order of the seeds."""
    return list(standing(cell, [run for run in runs if run.cell is cell]).values)


def grid(table: Table, runs: list[Run], separator: str = "<br>") -> tuple[list[str], list[list[str]]]:
    """Header and rows as text: ours, the published values with their sources, and the gap to the first of them."""
    found = standings(table.cells, runs)
    texts = {(own.cell.row, own.cell.column): separator.join(texts_of(own)) for own in found}
    header = [table.columns_are, *table.columns]
    return header, [[row, *(texts[row, column] for column in table.columns)] for row in table.rows]


def texts_of(own: Standing) -> list[str]:
    """The lines of one cell."""
    cell, statistic = own.cell, STATISTICS[own.cell.statistic]
    ours = statistic.with_values(own.values) if own.values else NOT_RUN
    published = [f"{known.source} {format_mean(known.value, known.std, statistic.digits)}" for known in cell.references]
    if not published and cell.gpus:  # a demo has none; a paper's may not be at hand
        published = ["published -"]
    return [ours, *published, *(gap.text(statistic.digits) for gap in own.gaps[:1])]


def note(table: Table) -> str:
    """What the numbers are: which statistic, which checkpoint, where the published ones are from, what a gap is."""
    over = "seeds" if all(len(cell.samples) == 1 for cell in table.cells) else "seeds and samples of the noise"
    spread = STATISTICS[table.cells[0].statistic].name
    text = f"Ours: mean ± {spread} over {over}; {table.taken}, never the best on test."
    named = {known.source for cell in table.cells for known in cell.references}
    text += "".join(f"\n{source}: {meaning}." for source, meaning in SOURCES.items() if source in named)
    return text + (f"\n{GAP}" if named else "")


def markdown(table: Table, runs: list[Run]) -> str:
    """The table with its caption."""
    return f"### {table.title}\n\n{markdown_table(*grid(table, runs))}\n{note(table)}\n"


def latex(table: Table, runs: list[Run]) -> str:
    """The table as LaTeX."""
    return latex_table(table.title, *grid(table, runs, "\n"), note(table), table.name)


def csv(table: Table, runs: list[Run]) -> str:
    """One line a cell and published value, with every value in full precision and where its records are."""
    header = [
        *("cell", "row", "column", "metric", "n", "mean", table.cells[0].statistic, "values"),
        *("published", "published_std", "source", "gap", "gap_in_std", "records"),
    ]
    lines = []
    for own in standings(table.cells, runs):
        cell = own.cell
        ours = [cell.id, cell.row, cell.column, cell.metric, len(own.values), own.mean, own.std]
        ours.append(" ".join(map(repr, own.values)))
        records = " ".join(str(run.record_folder) for run in own.runs)
        gaps = {gap.reference: [gap.points, gap.stds] for gap in own.gaps}
        for known in cell.references or (None,):
            published = [known.value, known.std, known.source] if known else [None] * 3
            lines.append([*ours, *published, *(gaps.get(known, [None] * 2) if known else [None] * 2), records])
    return csv_text(header, lines)


def write(table: Table, runs: list[Run], folder: Path) -> str:
    """Write the table as .md, .csv, .tex and .png; returns the Markdown."""
    text = markdown(table, runs)
    write_table(folder, table.name, text, csv(table, runs), table.title, *grid(table, runs, "\n"))
    atomic_write(folder / f"{table.name}.tex", latex(table, runs))
    return text
