"""A table and its cells: what each one runs, what was published, what it needs and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.results.published import Reference
from reproduce.cells.files import DATA_DIR


@dataclass(frozen=True)
class Cost:
    """What one run takes: GPU-hours, seconds a step on two CPU cores, gigabytes it leaves; `basis`: how we know."""

    gpu_hours: float
    basis: str
    cpu_step_seconds: float
    cpu_basis: str
    disk_gb: float = 0.0


@dataclass(frozen=True)
class Stage:
    """One program of a run. Most runs have one, without a name; in a chain each continues from those before it.

    `arguments`: words before the flags. They and the values of flags may say `{data_dir}`, and `{name}` for the folder
    of an earlier stage. `subfolder`: below the run's folder, where the program is told to write. `steps`: as far as
    they count for the time left. `path_flags`: flags that name a folder or file, each with DATA_DIR or RUNS_DIR.
    """

    name: str
    program: tuple[str, ...]
    arguments: tuple[str, ...]
    flags: Mapping[str, Any]
    steps: int
    subfolder: str
    path_flags: Mapping[str, str]


@dataclass(frozen=True)
class Cell:
    """One number of a table: a run for each of its samples (of label noise, say) with each of its seeds.

    `stages`: the programs of a run, one after the other; the number is the last one's. `flags`: those of column, table
    and row; of a chain, by the name of the stage. `shared_run`: name of the run that this number is taken from, where
    several cells take theirs from one. `data`: the data sets it needs, first the one it is trained on.
    """

    id: str
    table: str
    row: str
    column: str
    sub_project: str
    environment: str
    stages: tuple[Stage, ...]
    flags: Mapping[str, Any]
    folder_flag: str
    seeds: tuple[int, ...]
    metric: str
    references: tuple[Reference, ...]
    cost: Cost
    data: tuple[str, ...]
    gpus: int
    samples: Mapping[str, Mapping[str, Any]]
    shared_run: str | None
    statistic: str

    def __hash__(self) -> int:  # flags are mappings, which have none
        return hash(self.id)

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in self.stages)

    def run_name(self, sample: str = "") -> str:
        """What the run of this cell and sample is called; its seed comes on top."""
        return (self.shared_run or self.id) + (f"-{sample}" if sample else "")

    def folder(self, seed: int, runs_dir: Path, sample: str = "") -> Path:
        """Where the run of this cell, seed and sample goes; its record lies somewhere below."""
        return runs_dir / self.sub_project / self.run_name(sample) / f"seed_{seed}"

    def commands(self, seed: int, folder: Path, sample: str = "", data_dir: Path = DATA_DIR) -> list[list[str]]:
        """The exact command of each stage of one run, in the form the authors print theirs."""
        folders = {"data_dir": data_dir}
        commands = []
        for stage in self.stages:
            chosen, of_sample = (
                given.get(stage.name, {}) if stage.name else given for given in (self.flags, self.samples[sample])
            )
            where = {self.folder_flag: folder / stage.subfolder, "seed": seed}
            flags = {**stage.flags, **chosen, **of_sample, **where}
            commands.append(build_command(stage.program, stage.arguments, flags, folders))
            folders[stage.name] = folder / stage.subfolder
        return commands

    def command(self, seed: int, folder: Path, sample: str = "") -> list[str]:
        """The exact command of a run that has one stage."""
        (command,) = self.commands(seed, folder, sample)
        return command


@dataclass(frozen=True)
class Table:
    """A table's cells in the order of its rows.

    `prepare`: words of a command that makes its data, or none. `quoted`: published values by row and column, of
    rows that have no cells; `not_run`: why they have none.
    """

    name: str
    title: str
    columns_are: str
    taken: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    prepare: tuple[str, ...] = ()
    quoted: Mapping[str, Mapping[str, Reference]] = field(default_factory=dict)
    not_run: str = ""


def build_command(
    program: Sequence[str], arguments: Sequence[str], flags: Mapping[str, Any], folders: Mapping[str, Path]
) -> list[str]:
    """`program arguments --flag=value --switch --list a b`; texts may say `{data_dir}` or another name of `folders`."""

    def words(value: Any) -> str:
        return value.format(**folders) if isinstance(value, str) else str(value)

    command = [*program, *map(words, arguments)]
    for name, value in flags.items():
        if isinstance(value, list):
            command += [f"--{name}", *map(words, value)]
        else:
            command.append(f"--{name}" if value is True else f"--{name}={words(value)}")
    return command
