"""A table with what our runs gave beside what was published."""

from __future__ import annotations

from pathlib import Path

from common.files import atomic_write
from common.foreign_text import markdown_text
from common.tables import STATISTICS, csv_text, format_mean, markdown_table, write_table
from reproduce.cells import Cell, Reference, Table
from reproduce.runs import Run
from reproduce.tables.comparison import GAP, NOT_RUN, SOURCES, Standing, standing, standings
from reproduce.tables.latex import latex_table

FORMS = "Markdown, CSV, LaTeX and PNG"


def values_of(cell: Cell, runs: list[Run]) -> list[float]:
    """The cell's numbers in percent, of its finished runs only, in the order of the seeds."""
    return list(standing(cell, [run for run in runs if run.cell is cell]).values)


def grid(table: Table, found: list[Standing], separator: str = "<br>") -> tuple[list[str], list[list[str]]]:
    """Header and rows as text: ours, the published values with their sources, and the gap to the first of them."""
    texts = {(own.cell.row, own.cell.column): separator.join(texts_of(own)) for own in found}
    rows = [[row, *(texts[row, column] for column in table.columns)] for row in table.rows]
    digits = STATISTICS[table.cells[0].statistic].digits
    for row, known in table.quoted.items():
        rows.append([row, *(known_text(known[column], digits) if column in known else "-" for column in table.columns)])
    return [table.columns_are, *table.columns], rows


def known_text(known: Reference, digits: int) -> str:
    """`paper 75.5 ± 0.2`."""
    return f"{known.source} {format_mean(known.value, known.std, digits)}"


def texts_of(own: Standing) -> list[str]:
    """The lines of one cell."""
    cell, statistic = own.cell, STATISTICS[own.cell.statistic]
    ours = statistic.with_values(own.values) if own.values else NOT_RUN
    published = [known_text(known, statistic.digits) for known in cell.references]
    if not_at_hand(cell):
        published = ["published -"]
    return [ours, *published, *(gap.text(statistic.digits) for gap in own.gaps[:1])]


def not_at_hand(cell: Cell) -> bool:
    """Whether a cell of a paper is without its published value; a demo's never had one."""
    return not cell.references and cell.gpus > 0


def note(table: Table) -> str:
    """What the numbers are: which statistic, which checkpoint, where the published ones are from, what a gap is."""
    over = "seeds" if all(len(cell.samples) == 1 for cell in table.cells) else "seeds and samples of the noise"
    spread = STATISTICS[table.cells[0].statistic].name
    text = f"Ours: mean ± {spread} over {over}; {table.taken}, never the best on test."
    named = {known.source for cell in table.cells for known in cell.references}
    text += "".join(f"\n{source}: {meaning}." for source, meaning in SOURCES.items() if source in named)
    if any(map(not_at_hand, table.cells)):
        text += "\npublished -: published value not at hand."
    if table.quoted:
        text += f"\nWithout a value of ours: {', '.join(table.quoted)}: {table.not_run}."
    return text + (f"\n{GAP}" if named else "")


def markdown(table: Table, found: list[Standing]) -> str:
    """The table with its caption."""
    header, rows = grid(table, found)
    shown = markdown_table([*map(markdown_text, header)], [[markdown_text(row), *cells] for row, *cells in rows])
    below = "\n".join(map(markdown_text, note(table).split("\n")))
    return f"### {markdown_text(table.title)}\n\n{shown}\n{below}\n"


def latex(table: Table, found: list[Standing]) -> str:
    """The table as LaTeX."""
    return latex_table(table.title, *grid(table, found, "\n"), note(table), table.name)


def csv(table: Table, found: list[Standing]) -> str:
    """One line a cell and published value, with every value in full precision and where its records are."""
    header = [
        *("cell", "row", "column", "metric", "n", "mean", table.cells[0].statistic, "values"),
        *("published", "published_std", "source", "gap", "gap_in_std", "records"),
    ]
    lines = []
    for own in found:
        cell = own.cell
        ours = [cell.id, cell.row, cell.column, cell.metric, len(own.values), own.mean, own.std]
        ours.append(" ".join(map(repr, own.values)))
        records = " ".join(str(run.record_folder) for run in own.runs)
        gaps = {gap.reference: [gap.points, gap.stds] for gap in own.gaps}
        for known in cell.references or (None,):
            published = [known.value, known.std, known.source] if known else [None] * 3
            lines.append([*ours, *published, *(gaps.get(known, [None] * 2) if known else [None] * 2), records])
    for row, of_row in table.quoted.items():
        for column, known in of_row.items():
            published = [known.value, known.std, known.source]
            lines.append([None, row, column, None, 0, *[None] * 3, *published, *[None] * 3])
    return csv_text(header, lines)


def write(table: Table, runs: list[Run], folder: Path) -> str:
    """Write the table as .md, .csv, .tex and .png; returns the Markdown."""
    found = standings(table.cells, runs)
    text = markdown(table, found)
    write_table(folder, table.name, text, csv(table, found), table.title, *grid(table, found, "\n"))
    atomic_write(folder / f"{table.name}.tex", latex(table, found))
    return text
