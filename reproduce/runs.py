"""Where a cell's runs stand: done, running, interrupted, missing, or something that is not this cell's run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproduce.cells import Cell
from reproduce.record import RecordError, is_running, read_metrics, read_result

DONE, RUNNING, INTERRUPTED, MISSING, FOREIGN = "done", "running", "interrupted", "missing", "foreign"
# Flags that say where files lie or what is shown; the numbers do not depend on them.
PLACES = {"checkpoint_path", "run_dir", "dataset_dir", "data_dir"}


@dataclass(frozen=True)
class Run:
    """One cell with one seed and sample: its state, its record if it is done, and a word on why if it is foreign."""

    cell: Cell
    seed: int
    sample: str
    folder: Path
    state: str
    result: dict[str, Any] | None = None
    record_folder: Path | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """How messages call this run."""
        return f"{self.cell.run_name(self.sample)} seed {self.seed}"


def runs_of(cells: tuple[Cell, ...], seeds: tuple[int, ...] | None, runs_dir: Path) -> list[Run]:
    """Every run that the cells ask for, samples and seeds of a cell together. Cells may share one: see `distinct`."""
    return [
        state_of(cell, seed, runs_dir, sample)
        for cell in cells
        for sample in cell.samples
        for seed in seeds or cell.seeds
    ]


def distinct(runs: list[Run]) -> list[Run]:
    """The runs without those that another cell before has too."""
    found: dict[Path, Run] = {}
    for run in runs:
        found.setdefault(run.folder, run)
    return list(found.values())


def state_of(cell: Cell, seed: int, runs_dir: Path, sample: str = "") -> Run:
    """Look at the disk. A record counts only if it was made by this cell's command, on this cell's data."""
    folder = cell.folder(seed, runs_dir, sample)
    records = sorted(_records(folder))
    if is_running(folder) or any(is_running(record) for record in records):
        return Run(cell, seed, sample, folder, RUNNING, record_folder=records[0] if records else None)
    unfinished = None
    foreign = ""
    for record in records:
        try:
            result = read_result(record)
        except RecordError as error:
            foreign = str(error)
            continue
        why = difference(cell, seed, result, sample)
        if why:
            foreign = f"{record}: {why}"
        elif result["finished"]:
            return Run(cell, seed, sample, folder, DONE, result, record)
        else:
            unfinished = record
    if unfinished is not None:
        return Run(cell, seed, sample, folder, INTERRUPTED, record_folder=unfinished)
    if foreign:
        return Run(cell, seed, sample, folder, FOREIGN, why=foreign)
    return Run(cell, seed, sample, folder, MISSING)


def difference(cell: Cell, seed: int, result: dict[str, Any], sample: str = "") -> str:
    """Why this result is not the cell's, in words; empty if it is."""
    if result["seed"] != seed:
        return f"its seed is {result['seed']}, not {seed}"
    if result["dataset"]["name"].split("_")[0] != cell.data[0]:  # cifar10-jpeg is not cifar10
        return f"its data set is {result['dataset']['name']}, not {cell.data[0]}"
    asked, ran = (_flags(command) for command in (cell.command(seed, Path(), sample), result["command"]))
    for name in sorted(set(asked) | set(ran)):
        if not _same(asked.get(name), ran.get(name)):
            return f"it ran with --{name} {ran.get(name, 'left out')}, the cell asks for {asked.get(name, 'none')}"
    if result["finished"] and cell.metric not in result["metrics"]:
        return f"it has no metric {cell.metric}"
    return ""


def progress(run: Run) -> int:
    """The last step this run has logged."""
    for record in _records(run.folder):
        try:
            metrics = read_metrics(record)
        except (OSError, RecordError):
            continue
        if metrics:
            return int(metrics[-1]["step"])
    return 0


def _records(folder: Path) -> Iterator[Path]:
    for name, folders, files in os.walk(folder):
        if "result.json" in files:
            folders.clear()  # nothing of ours lies deeper, and checkpoints may be many
            yield Path(name)


def _flags(command: list[str]) -> dict[str, str]:
    """The flags of a command as name: value, in whichever of the usual forms they were given."""
    flags: dict[str, str] = {}
    pending = None
    for word in command:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            flags[name] = value if equals else "true"
            pending = None if equals else name
        elif pending is not None:
            flags[pending], pending = word, None
    return {name: value for name, value in flags.items() if name not in PLACES}


def _same(asked: str | None, ran: str | None) -> bool:
    if asked is None or ran is None or asked.lower() == ran.lower():
        return asked == ran or (asked or "").lower() == (ran or "").lower()
    try:
        return float(asked) == float(ran)
    except ValueError:
        return False
