"""Statistics under their own names, and tables as Markdown, CSV and PNG.

Standard library, and where a picture is drawn Pillow or matplotlib, which never need a screen.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import os
import struct
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean as mean
from typing import Any

from common.environment import picture_settings
from common.foreign_text import csv_field, visible
from common.storage.files import atomic_path, atomic_write

MOST_LETTERS, MOST_LINES = 300, 20  # of a cell in a picture
PLUS_MINUS = "±"


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

    def text(self, values: Sequence[float]) -> str:
        """`75.5 ± 0.2`."""
        return format_mean(*self.summary(values), self.digits)

    def with_values(self, values: Sequence[float]) -> str:
        """The same with n, and each value where they are few enough to read."""
        singles = ": " + ", ".join(f"{value:.{self.digits}f}" for value in values) if 1 < len(values) <= 5 else ""
        return f"{self.text(values)} (n = {len(values)}{singles})"


STATISTICS = {
    "sample_std": Statistic("sample standard deviation (n - 1)", sample_std, digits=1),
    "population_std": Statistic("population standard deviation (ddof 0)", population_std, 2, single_precision=True),
}


def format_mean(centre: float | None, std: float | None, digits: int = 1) -> str:
    """`75.5 ± 0.2`, or the mean alone, or a dash."""
    if centre is None:
        return "-"
    numbers = [centre] if std is None else [centre, std]
    return f" {PLUS_MINUS} ".join(f"{number:.{digits}f}" for number in numbers)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with aligned columns, which also reads well in a terminal; cells are Markdown of one line."""
    lines = [[" ".join(visible(cell).replace("|", "\\|").split("\n")) for cell in line] for line in (header, *rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]]) + "\n"


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A CSV file with full precision; None is an empty field, and no text a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows(map(csv_field, line) for line in (header, *rows))
    return buffer.getvalue()


def write_table(
    folder: Path, stem: str, markdown: str, comma_separated: str, title: str, header: Sequence[str], rows: Any
) -> None:
    """`stem`.md and .csv with these texts, and .png with the table drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / f"{stem}.md", markdown)
    atomic_write(folder / f"{stem}.csv", comma_separated)
    picture(folder / f"{stem}.png", lambda path: draw_table(path, title, header, rows))


def picture(path: Path, draw: Callable[[Path], object]) -> list[Path]:
    """The picture that `draw` makes beside a result that is written; where that fails, none, and a warning."""
    try:
        draw(path)
    except Exception as error:  # whatever the libraries of pictures make of a machine, no result may depend on it
        logging.warning("%s was not drawn: %s", path, " ".join(str(error).split())[:300] or type(error).__name__)
        return []
    return [path]


def draw_table(path: str | os.PathLike[str], title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The table as a picture. By Pillow: matplotlib takes seconds for the letters of all tables."""
    from PIL import Image, ImageDraw

    plain, bold, large = _font("DejaVuSansMono", 15), _font("DejaVuSansMono-Bold", 15), _font("DejaVuSans-Bold", 18)
    lines = [
        [[visible(part)[:MOST_LETTERS] for part in cell.split("\n")[:MOST_LINES]] for cell in line]
        for line in (header, *rows)
    ]
    widths = [max(len(part) for line in lines for part in line[column]) + 3 for column in range(len(header))]
    letter, margin, leading = plain.getlength("0"), 10, 18
    width = max(sum(widths) * letter, 20 * large.getlength("n"))
    titles = textwrap.wrap(visible(title)[:MOST_LETTERS], int(width / large.getlength("n")))
    heights = [leading * (max(map(len, line)) + 1) for line in lines]
    top = margin + 24 * len(titles) + leading
    image = Image.new("L", (round(width) + 2 * margin, top + sum(heights) + margin), "white")
    draw = ImageDraw.Draw(image)
    for number, words in enumerate(titles):
        draw.text((margin, margin + 24 * number), words, "black", large)
    for number, (line, height) in enumerate(zip(lines, heights, strict=True)):
        left = float(margin)
        for cell, letters in zip(line, widths, strict=True):
            for place, part in enumerate(cell):
                at = top + height / 2 - leading * (len(cell) / 2 - place)
                draw.text((left, at), part, "black", plain if number else bold)
            left += letters * letter
        top += height
        draw.line((margin, top, left, top), "gainsboro" if number else "black")
    with atomic_path(path) as temporary:
        image.save(temporary, format="png")


def _font(name: str, size: int) -> Any:
    """A font that comes with matplotlib, so that pictures are the same everywhere; matplotlib itself is not loaded."""
    from PIL import ImageFont

    package = find_spec("matplotlib")
    assert package is not None and package.origin is not None
    path = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


def new_figure(width: float, height: float) -> Any:
    """An empty figure of that many inches, drawn without a screen. Texts are no formulas: names may hold a $."""
    picture_settings()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    matplotlib.rcParams["text.parse_math"] = False
    figure = Figure(figsize=(width, height), dpi=120)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Any, path: Path, rect: tuple[float, float, float, float] = (0, 0, 1, 1)) -> None:
    """Write a PNG, complete or not at all; without the software's version in it, so equal figures are equal files.

    rect: left, bottom, right, top of what the axes with their labels may fill, in shares of the figure.
    """
    figure.tight_layout(rect=rect)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
