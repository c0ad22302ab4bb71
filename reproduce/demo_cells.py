"""The cells of a demo or a claim: a change of their settings makes other runs; and the images that some need first."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
import subprocess
from pathlib import Path

from common.children import tied
from common.errors import UsageError
from reproduce.cells import DATA_DIR, ROOT, Table
from reproduce.engines.commands import started

STOPPED = 130


def prepare(table: Table, data_dir: Path | None = None) -> Table:
    """The table with a hash of each cell's command in its id, so that other settings get other folders."""
    cells = []
    for cell in table.cells:
        digest = hashlib.sha256(json.dumps(cell.commands(0, Path())).encode()).hexdigest()[:8]
        shared = f"{cell.shared_run}-{digest}" if cell.shared_run else None
        cells.append(dataclasses.replace(cell, id=f"{cell.id}-{digest}", shared_run=shared))
    words = tuple(word.format(data_dir=data_dir or DATA_DIR) for word in table.prepare)
    return dataclasses.replace(table, cells=tuple(cells), prepare=words)


def make_data(table: Table, dry_run: bool = False) -> None:
    """Make what is missing of the images that a table draws itself, or print the command. Raises: UsageError."""
    if not table.prepare:
        return
    command = started(table.prepare, table.cells[0].environment)
    if dry_run:
        print(shlex.join(command))
        return
    done = subprocess.run(
        tied(command), cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8", errors="replace", check=False
    )
    if done.returncode == STOPPED:
        raise KeyboardInterrupt
    if done.returncode:
        raise UsageError(f"the images were not made: {shlex.join(command)} ended with {done.returncode}")
