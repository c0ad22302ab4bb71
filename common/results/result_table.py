"""Tables of results beside what was published: mean, spread and gap, as Markdown, CSV, LaTeX and PNG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.foreign_text import markdown_text
from common.results.latex import latex_table
from common.results.published import SOURCES, Reference
from common.results.tables import STATISTICS, Statistic, csv_text, format_mean, markdown_table, write_table
from common.storage.files import atomic_write

FORMS = "Markdown, CSV, LaTeX and PNG"
NOT_RUN = "not run"
GAP = (
    "Gap: ours minus published, in points, and in published standard deviations; in ours where none was published"
    " or it is 0."
)


@dataclass(frozen=True)
class Gap:
    """Ours minus one published value: in points, and in standard deviations where there are any."""

    reference: Reference
    points: float
    stds: float | None

    def text(self, digits: int) -> str:
        """`gap to paper +0.3 points, +0.6 std`."""
        in_stds = "" if self.stds is None else f", {round(self.stds, 1) + 0.0:+.1f} std"
        return f"gap to {self.reference.source} {round(self.points, digits) + 0.0:+.{digits}f} points{in_stds}"


@dataclass(frozen=True)
class Result:
    """One cell: values in percent, beside what was published of it.

    statistic: a key of STATISTICS; records: names of the runs, as many as values; unpublished: what is shown where no
    value was published, "" for nothing.
    """

    id: str
    row: str
    column: str
    metric: str
    statistic: str
    values: tuple[float, ...]
    records: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    unpublished: str = ""

    @property
    def mean(self) -> float | None:
        """Of the values, unrounded; None where there are none."""
        return STATISTICS[self.statistic].summary(self.values)[0] if self.values else None

    @property
    def std(self) -> float | None:
        """Of the values; None where there are fewer than two."""
        return STATISTICS[self.statistic].summary(self.values)[1] if self.values else None

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """One for each published value."""
        if (mean := self.mean) is None:
            return ()
        units = {known: known.std or self.std for known in self.references}
        points = {known: mean - known.value for known in self.references}
        return tuple(Gap(known, points[known], points[known] / unit if unit else None) for known, unit in units.items())

    def texts(self) -> list[str]:
        """The lines of the cell: ours, each published value, the gap to the first of them."""
        statistic = STATISTICS[self.statistic]
        ours = statistic.with_values(self.values) if self.values else NOT_RUN
        published = [known_text(known, statistic) for known in self.references] or [self.unpublished]
        return [ours, *filter(None, published), *(gap.text(statistic.digits) for gap in self.gaps[:1])]


@dataclass(frozen=True)
class ResultTable:
    """Results by row and column. quoted: published values of rows that have no results; note: lines below the table."""

    name: str
    title: str
    columns_are: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    statistic: str
    results: tuple[Result, ...]
    note: str
    quoted: Mapping[str, Mapping[str, Reference]] = field(default_factory=dict)

    def grid(self, separator: str = "<br>") -> tuple[list[str], list[list[str]]]:
        """Header and rows as text; separator: between the lines of a cell."""
        texts = {(result.row, result.column): separator.join(result.texts()) for result in self.results}
        rows = [[row, *(texts[row, column] for column in self.columns)] for row in self.rows]
        statistic = STATISTICS[self.statistic]
        for row, known in self.quoted.items():
            rows.append([row, *(known_text(known[name], statistic) if name in known else "-" for name in self.columns)])
        return [self.columns_are, *self.columns], rows

    def markdown(self) -> str:
        """The table with title and note."""
        header, rows = self.grid()
        shown = markdown_table([*map(markdown_text, header)], [[markdown_text(row), *cells] for row, *cells in rows])
        below = "\n".join(map(markdown_text, self.note.split("\n")))
        return f"### {markdown_text(self.title)}\n\n{shown}\n{below}\n"

    def latex(self) -> str:
        """The table with title and note as its caption."""
        return latex_table(self.title, *self.grid("\n"), self.note, self.name)

    def csv(self) -> str:
        """One line a cell and published value, with every value in full precision and the names of its runs."""
        header = [
            *("cell", "row", "column", "metric", "n", "mean", self.statistic, "values"),
            *("published", "published_std", "source", "gap", "gap_in_std", "records"),
        ]
        lines = []
        for one in self.results:
            ours = [one.id, one.row, one.column, one.metric, len(one.values), one.mean, one.std]
            ours.append(" ".join(map(repr, one.values)))
            gaps = {gap.reference: [gap.points, gap.stds] for gap in one.gaps}
            for known in one.references or (None,):
                published = [known.value, known.std, known.source] if known else [None] * 3
                gap = gaps.get(known, [None] * 2) if known else [None] * 2
                lines.append([*ours, *published, *gap, "; ".join(one.records)])
        for row, of_row in self.quoted.items():
            for column, known in of_row.items():
                published = [known.value, known.std, known.source]
                lines.append([None, row, column, None, 0, *[None] * 3, *published, *[None] * 3])
        return csv_text(header, lines)

    def write(self, folder: Path) -> str:
        """Write `<name>.md`, `.csv`, `.tex` and `.png`; returns the Markdown."""
        text = self.markdown()
        write_table(folder, self.name, text, self.csv(), self.title, *self.grid("\n"))
        atomic_write(folder / f"{self.name}.tex", self.latex())
        return text


def known_text(known: Reference, statistic: Statistic) -> str:
    """`paper 75.5 ± 0.2`."""
    return f"{known.source} {format_mean(known.value, known.std, statistic.digits)}"


def note(statistic: str, over: str, taken: str, results: tuple[Result, ...], *remarks: str) -> str:
    """What the numbers are: statistic, what it is over, which checkpoint, sources of the published ones, gap."""
    lines = [f"Ours: mean ± {STATISTICS[statistic].name} over {over}; {taken}, never the best on test."]
    named = {known.source for result in results for known in result.references}
    lines += [f"{source}: {meaning}." for source, meaning in SOURCES.items() if source in named]
    return "\n".join([*lines, *filter(None, remarks), *([GAP] if named else [])])
