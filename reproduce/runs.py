"""The state of a cell's runs: done, running, interrupted, missing, or foreign, which is not this cell's run."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.records.record_files import read_metrics, read_result
from common.storage.data_folders import is_foreign
from common.storage.locks import is_running
from reproduce.cells import Cell
from reproduce.cells.programs import known_programs, program_of

DONE, RUNNING, INTERRUPTED, MISSING, FOREIGN = "done", "running", "interrupted", "missing", "foreign"


@dataclass(frozen=True)
class Run:
    """One cell with one seed and sample: its state, its record if it is done, and a word on why if it is foreign.

    `stages_done`: how many of its stages need not be started any more; `result` and `record_folder` are the last one's.
    """

    cell: Cell
    seed: int
    sample: str
    folder: Path
    state: str
    result: dict[str, Any] | None = None
    record_folder: Path | None = None
    why: str = ""
    stages_done: int = 0

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
    by_folder: dict[Path, Run] = {}
    for run in runs:
        by_folder.setdefault(run.folder, run)
    return list(by_folder.values())


def by_cell(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs of each cell, by its id."""
    by_id: dict[str, list[Run]] = {}
    for run in runs:
        by_id.setdefault(run.cell.id, []).append(run)
    return by_id


def state_of(cell: Cell, seed: int, runs_dir: Path, sample: str = "") -> Run:
    """Look at the disk. A record counts only if it was made by this cell's command, on this cell's data."""
    folder = cell.folder(seed, runs_dir, sample)
    stages = [_state_of_stage(cell, index, seed, folder, sample) for index in range(len(cell.stages))]
    done = next((index for index, run in enumerate(stages) if run.state != DONE), len(stages))
    if is_running(folder) or any(run.state == RUNNING for run in stages):
        return Run(cell, seed, sample, folder, RUNNING, record_folder=stages[0].record_folder)
    for run in stages:
        if run.state == FOREIGN:
            return run
    if done == len(stages):
        return replace(stages[-1], stages_done=done)
    for run, stage in zip(stages[done + 1 :], cell.stages[done + 1 :], strict=True):
        if run.state != MISSING:
            why = f"{folder}: {stage.name} is there, but {cell.stages[done].name}, which it starts from, is not done"
            return Run(cell, seed, sample, folder, FOREIGN, why=why)
    state = INTERRUPTED if done else stages[0].state
    return replace(stages[done], state=state, stages_done=done)


def state_again(run: Run) -> Run:
    """Look at the disk once more."""
    runs_dir = run.folder.parents[2]  # <runs_dir>/<sub-project>/<run>/<seed>
    return state_of(run.cell, run.seed, runs_dir, run.sample)


def _state_of_stage(cell: Cell, index: int, seed: int, folder: Path, sample: str) -> Run:
    """The state of one stage, as if it were the whole run."""
    records = sorted(record_folders(folder / cell.stages[index].name))
    if any(is_running(record) for record in records):
        return Run(cell, seed, sample, folder, RUNNING, record_folder=records[0])
    unfinished = None
    foreign = ""
    for record in records:
        try:
            result = read_result(record)
        except RecordError as error:
            foreign = str(error)
            continue
        why = difference(cell, seed, result, sample, index)
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


def difference(cell: Cell, seed: int, result: dict[str, Any], sample: str = "", index: int = -1) -> str:
    """Why this result is not that of the cell's stage number `index`, in words; empty if it is."""
    if result["seed"] != seed:
        return f"its seed is {result['seed']}, not {seed}"
    if result["dataset"]["name"].split("_")[0] != cell.data[0]:  # cifar10-jpeg is not cifar10
        return f"its data set is {result['dataset']['name']}, not {cell.data[0]}"
    devices = max(1, cell.gpus)
    # Its batches are those of each device. What was begun with --force can be resumed, but does not count.
    if result["finished"] and result["sub_project"] == "ieg" and result["world_size"] != devices:
        return f"it ran on {result['world_size']} device(s), the cell asks for {devices}: another batch in all"
    asked, ran = _asked(cell, sample, index), _flags(result["command"], _elsewhere(cell, index))
    for name in sorted(set(asked) | set(ran)) if asked != ran else ():
        if not _same(asked.get(name), ran.get(name)):
            return f"it ran with --{name} {ran.get(name, 'left out')}, the cell asks for {asked.get(name, 'none')}"
    if result["finished"] and cell.stages[index] is cell.stages[-1] and cell.metric not in result["metrics"]:
        return f"it has no metric {cell.metric}"
    return ""


def records_of(run: Run) -> list[tuple[str, Path]]:
    """Folders of the records of a run, each with its stage's name; of a done last stage, the one that counts."""
    folders = []
    for stage in run.cell.stages:
        counts = run.state == DONE and stage is run.cell.stages[-1] and run.record_folder
        records = [run.record_folder] if counts else sorted(record_folders(run.folder / stage.name))
        folders += [(stage.name, record) for record in records if record]
    return folders


def progress(run: Run) -> int:
    """The last step that this run has logged, counted over its stages."""
    return sum(min(stage.steps, _logged(run.folder / stage.name)) for stage in run.cell.stages)


def _logged(folder: Path) -> int:
    for record in record_folders(folder):
        try:
            metrics = read_metrics(record)
        except (OSError, RecordError):
            continue
        if metrics:
            return int(metrics[-1]["step"])
    return 0


def record_folders(folder: Path) -> Iterator[Path]:
    """The folders below `folder` that hold the record of a run; there is none within another."""
    for name, folders, files in os.walk(folder):
        folders[:] = [inside for inside in folders if not is_foreign(inside)]  # .Trash-1000 is full of old runs
        if "result.json" in files:
            folders.clear()  # nothing of ours lies deeper, and checkpoints may be many
            yield Path(name)


@cache
def _asked(cell: Cell, sample: str, index: int) -> dict[str, str]:
    """The flags that the cell asks of stage number `index`, which are the same for all seeds."""
    return _flags(cell.commands(0, Path(), sample)[index], _elsewhere(cell, index))


def _elsewhere(cell: Cell, index: int) -> set[str]:
    """Flags on which no number depends: they name folders and files; and the seed, which a record names separately."""
    return {*cell.stages[index].path_flags, cell.folder_flag, "seed"}


def _flags(command: list[str], left_out: Collection[str]) -> dict[str, str]:
    """The flags of a command, in any of the usual forms, as name: value; values by their present names."""
    known = known_programs().get(program_of(command))
    renamed = known.renamed if known else {}
    flags: dict[str, str] = {}
    open_flag = None
    for word in command:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            flags[name] = value if equals else "true"
            open_flag = None if equals else name
        elif open_flag is not None:  # one value, or one more
            flags[open_flag] = word if flags[open_flag] == "true" else f"{flags[open_flag]} {word}"
    return {name: renamed.get(value, value) for name, value in flags.items() if name not in left_out}


def _same(asked: str | None, ran: str | None) -> bool:
    if asked is None or ran is None:
        return asked == ran
    if asked.lower() == ran.lower():
        return True
    try:
        return float(asked) == float(ran)
    except ValueError:
        return False
