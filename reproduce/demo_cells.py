"""The cells of a demo: a change of its settings makes other runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from reproduce.cells import DATA_DIR, Table


def prepare(table: Table, data_dir: Path | None = None) -> Table:
    """The table with a hash of each cell's command in its id, so that other settings get other folders."""
    cells = []
    for cell in table.cells:
        digest = hashlib.sha256(json.dumps(cell.commands(0, Path())).encode()).hexdigest()[:8]
        shared = f"{cell.shared_run}-{digest}" if cell.shared_run else None
        cells.append(dataclasses.replace(cell, id=f"{cell.id}-{digest}", shared_run=shared))
    words = tuple(word.format(data_dir=data_dir or DATA_DIR) for word in table.prepare)
    return dataclasses.replace(table, cells=tuple(cells), prepare=words)
