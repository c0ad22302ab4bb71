"""Statistics under their own names, and tables as Markdown, CSV and PNG.

Standard library and matplotlib, which is loaded only where a picture is drawn and never needs a screen.
"""

from __future__ import annotations

import csv
import io
import math
import os
import struct
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.files import atomic_path, atomic_write

PLUS_MINUS = "±"


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; of nothing it is an error."""
    if not values:
        raise ValueError("the mean of no values")
    return math.fsum(values) / len(values)


def population_std(values: Sequence[float]) -> float:
    """Standard deviation that divides by n: the spread of exactly these values."""
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / len(values))


def sample_std(values: Sequence[float]) -> float | None:
    """Standard deviation that divides by n - 1: the estimate for runs like these. One value has none."""
    return None if len(values) < 2 else population_std(values) * math.sqrt(len(values) / (len(values) - 1))


def float32(value: float) -> float:
    """The nearest number of single precision, as a double: what TensorBoard keeps of a value."""
    return struct.unpack("f", struct.pack("f", value))[0]


@dataclass(frozen=True)
class Statistic:
    """How the values of a cell become one number: mean ± `std`, to so many digits.

    `single_precision`: each value is rounded to float32 first, as the published numbers were that came out of
    TensorBoard; where a mean falls between two last digits, that decides.
    """

    name: str
    std: Callable[[Sequence[float]], float | None]
    digits: int
    single_precision: bool = False

    def percent(self, fraction: float) -> float:
        """A share of 1, an accuracy for one, in percent."""
        return 100 * (float32(fraction) if self.single_precision else fraction)

    def summary(self, values: Sequence[float]) -> tuple[float, float | None]:
        """Mean and standard deviation, unrounded; one value has a mean alone."""
        return mean(values), self.std(values) if len(values) > 1 else None

    def text(self, values: Sequence[float], trailing_zeros: bool = True) -> str:
        """`75.5 ± 0.2`."""
        return format_mean(*self.summary(values), self.digits, trailing_zeros)

    def with_values(self, values: Sequence[float]) -> str:
        """The same with n, and each value where they are few enough to read."""
        singles = ": " + ", ".join(f"{value:.{self.digits}f}" for value in values) if 1 < len(values) <= 5 else ""
        return f"{self.text(values)} (n = {len(values)}{singles})"


STATISTICS = {
    "sample_std": Statistic("sample standard deviation (n - 1)", sample_std, digits=1),
    "population_std": Statistic("population standard deviation (ddof 0)", population_std, 2, single_precision=True),
}


def format_mean(centre: float | None, std: float | None, digits: int = 1, trailing_zeros: bool = True) -> str:
    """`75.5 ± 0.2`, or the mean alone, or a dash. Without trailing zeros 85.10 is 85.1, and 87.00 is 87.0."""
    if centre is None:
        return "-"
    numbers = [centre] if std is None else [centre, std]
    return f" {PLUS_MINUS} ".join(f"{n:.{digits}f}" if trailing_zeros else repr(round(n, digits)) for n in numbers)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, which also reads well in a terminal."""
    lines = [[cell.replace("|", "\\|") for cell in line] for line in (header, *rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]]) + "\n"


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A CSV file with full precision; None is an empty field."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if cell is None else cell for cell in line] for line in rows)
    return buffer.getvalue()


def write_table(folder: Path, stem: str, markdown: str, csv: str, title: str, header: Sequence[str], rows: Any) -> None:
    """`stem`.md and .csv with these texts, and .png with the table drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / f"{stem}.md", markdown)
    atomic_write(folder / f"{stem}.csv", csv)
    draw_table(folder / f"{stem}.png", title, header, rows)


def draw_table(path: str | os.PathLike[str], title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The table as a picture."""
    lines = [header, *rows]
    widths = [
        max(len(part) for line in lines for part in line[column].split("\n")) + 3 for column in range(len(header))
    ]
    heights = [max(cell.count("\n") + 1 for cell in line) + 0.8 for line in lines]
    title = textwrap.fill(title, max(20, sum(widths)))
    more = title.count("\n")
    figure = new_figure(0.085 * sum(widths) + 0.4, 0.2 * (sum(heights) + more) + 0.7)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-1, sum(widths) + 1)
    axes.set_ylim(sum(heights) + 0.5, -2.5 - more)
    axes.text(0, -1.2 - more / 2, title, fontsize=11, weight="bold", va="center")
    top = 0.0
    for number, (line, height) in enumerate(zip(lines, heights, strict=True)):
        left = 0.0
        for cell, width in zip(line, widths, strict=True):
            weight = "bold" if number == 0 else "normal"
            axes.text(left, top + height / 2, cell, fontsize=9, va="center", family="monospace", weight=weight)
            left += width
        top += height
        axes.plot([0, left], [top, top], color="0.2" if number == 0 else "0.85", linewidth=0.8)
    save_figure(figure, path)


def new_figure(width: float, height: float) -> Any:
    """An empty figure of that many inches, drawn without a screen and without matplotlib's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: str | os.PathLike[str]) -> None:
    """Write a PNG, complete or not at all; without the software's version in it, so equal figures are equal files."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
