"""The demo: three methods on noisy digits, three seeds each; a table, learning curves, example weights."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from common.children import tied
from common.results.tables import csv_text, format_mean, markdown_table, mean, picture, sample_std, write_table
from reproduce.cells import ROOT, Cell, Table
from reproduce.demos.pictures import example_weights, learning_curves
from reproduce.runs import DONE, Run
from reproduce.tables.paper_tables import values_of

LABEL = "test accuracy (%), averaged weights"
HEADER = ["method", "mean ± std", "n", "each seed"]


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of the finished runs into `folder`; returns what to print."""
    done = [run for run in runs if run.state == DONE]
    rows = [row_of(cell, values_of(cell, done)) for cell in table.cells]
    note = (
        "Accuracy of the averaged weights at the last cycle end; std: sample standard deviation (n - 1). "
        "The data are small digits, so no published number is shown beside them."
    )
    pictures = {
        "learning_curves": partial(
            learning_curves, done, table.title, metric="acc/ema_eval", against="step", label=LABEL
        ),
        "example_weights": partial(example_weights, done),
    }
    return shown(*write(table, folder, HEADER, rows, note, pictures))


def write(
    table: Table, folder: Path, header: list[str], rows: list[list[str]], note: str, pictures: Mapping[str, Any]
) -> tuple[str, list[Path]]:
    """The table as table.md, .csv and .png, and the pictures by name, each with what draws it into a path.

    Returns the Markdown, and what could be drawn.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = f"### {table.title}\n\n{markdown_table(header, rows)}\n{note}\n"
    write_table(folder, "table", text, csv_text(header, rows), table.title, header, rows)
    return text, [path for name, draw in pictures.items() for path in picture(folder / f"{name}.png", draw)]


def shown(text: str, drawn: list[Path]) -> str:
    """What is printed: the table, and where the pictures are."""
    return f"{text}\nPictures: {', '.join(map(str, drawn))}"


def settings(table: Table) -> str:
    """The flags that all cells share, as one reads them."""
    shared = dict(table.cells[0].flags)
    for cell in table.cells:
        shared = {name: value for name, value in shared.items() if cell.flags.get(name) == value}
    return ", ".join(f"{name} {value}" for name, value in shared.items())


def draw(commands: Mapping[Path, list[str]]) -> list[Path]:
    """Run the commands that draw these pictures, at the same time; returns those that were drawn, warns of others."""
    processes = {
        path: subprocess.Popen(
            tied(command),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        for path, command in commands.items()
    }
    for path, process in processes.items():
        output, _ = process.communicate()
        if process.returncode:
            logging.warning("%s was not drawn: %s", path, output.strip())
    return [path for path, process in processes.items() if not process.returncode]


def row_of(cell: Cell, values: list[float]) -> list[str]:
    """Name, mean ± std, n, and each seed's value of one cell; values in percent."""
    if not values:
        return [cell.row, "not run", "0", "-"]
    singles = ", ".join(f"{value:.1f}" for value in values)
    return [cell.row, format_mean(mean(values), sample_std(values)), str(len(values)), singles]
