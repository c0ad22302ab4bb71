"""The demo: three methods on noisy digits, three seeds each; a table, learning curves, example weights."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Mapping
from pathlib import Path

from common.children import tied
from common.files import atomic_write
from common.tables import csv_text, draw_table, format_mean, markdown_table, mean, picture, sample_std
from reproduce.cells import ROOT, Cell, Table
from reproduce.demos.pictures import example_weights, learning_curves
from reproduce.runs import DONE, Run
from reproduce.tables.paper_tables import values_of

HEADER = ["method", "mean ± std", "n", "each seed"]


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of the finished runs into `folder`; returns what to print."""
    folder.mkdir(parents=True, exist_ok=True)
    done = [run for run in runs if run.state == DONE]
    rows = [row_of(cell, values_of(cell, done)) for cell in table.cells]
    note = (
        "Accuracy of the averaged weights at the last cycle end; std: sample standard deviation (n - 1). "
        "The data are small digits, so no published number is shown beside them."
    )
    text = write_table(folder, table.title, HEADER, rows, note)
    label = "test accuracy (%), averaged weights"
    drawn = picture(
        folder / "learning_curves.png",
        lambda path: learning_curves(done, table.title, path, "acc/ema_eval", "step", label),
    )
    drawn += picture(folder / "example_weights.png", lambda path: example_weights(done, path))
    return f"{text}\nPictures: {', '.join(map(str, drawn))}"


def write_table(folder: Path, title: str, header: list[str], rows: list[list[str]], note: str) -> str:
    """table.md, table.csv and table.png in `folder`; returns the Markdown."""
    text = f"### {title}\n\n{markdown_table(header, rows)}\n{note}\n"
    atomic_write(folder / "table.md", text)
    atomic_write(folder / "table.csv", csv_text(header, rows))
    picture(folder / "table.png", lambda path: draw_table(path, title, header, rows))
    return text


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
