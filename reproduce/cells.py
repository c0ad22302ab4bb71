"""The table cells of cells.yaml: what each one runs, what was published, what it needs and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reproduce.errors import ReproduceError
from reproduce.tables import STATISTICS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CELLS, DEMO, PUBLISHED = HERE / "cells.yaml", HERE / "demo.yaml", HERE / "published.yaml"
TABLE_KEYS = {"title", "columns_are", "program", "metric", "needs", "columns", "rows"}
TABLE_OPTIONS = {"published", "source", "flags", "cost", "samples", "shared_runs", "statistic", "taken"}
ONE_SAMPLE: Mapping[str, Mapping[str, Any]] = {"": {}}


@dataclass(frozen=True)
class Cost:
    """What one run takes: GPU-hours, and seconds a step on two CPU cores. `basis` says how that is known."""

    gpu_hours: float
    basis: str
    cpu_step_seconds: float
    cpu_basis: str


@dataclass(frozen=True)
class Reference:
    """A published value in percent, and where it stands."""

    source: str
    value: float
    std: float | None


@dataclass(frozen=True)
class Cell:
    """One number of a table: a run for each of its samples (of label noise, say) with each of its seeds.

    `shared_run`: name of the run that this number is taken from, where several cells take theirs from one. `data`: the
    data sets it needs, first the one it is trained on. `subfolder`: below a run's folder, the program's own.
    """

    id: str
    table: str
    row: str
    column: str
    sub_project: str
    environment: str
    program: tuple[str, ...]
    flags: Mapping[str, Any]
    folder_flag: str
    seeds: tuple[int, ...]
    steps: int
    metric: str
    references: tuple[Reference, ...]
    cost: Cost
    data: tuple[str, ...]
    gpus: int
    samples: Mapping[str, Mapping[str, Any]]
    shared_run: str | None
    subfolder: str
    statistic: str

    def run_name(self, sample: str = "") -> str:
        """What the run of this cell and sample is called; its seed comes on top."""
        return (self.shared_run or self.id) + (f"-{sample}" if sample else "")

    def folder(self, seed: int, runs_dir: Path, sample: str = "") -> Path:
        """Where the run of this cell, seed and sample goes; its record lies somewhere below."""
        return runs_dir / self.sub_project / self.run_name(sample) / f"seed_{seed}"

    def command(self, seed: int, folder: Path, sample: str = "") -> list[str]:
        """The exact command of one run, in the form the authors print theirs."""
        flags = {**self.flags, **self.samples[sample], self.folder_flag: folder / self.subfolder, "seed": seed}
        return [
            *self.program,
            *(f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()),
        ]


@dataclass(frozen=True)
class Table:
    """A table's cells in the order of its rows."""

    name: str
    title: str
    columns_are: str
    taken: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]


def load_tables(path: Path = CELLS, published: Path = PUBLISHED) -> dict[str, Table]:
    """All tables of a cells file, by name; a ReproduceError names file and entry if one is wrong."""
    content, numbers = _read(path), _read(published)
    try:
        return {name: _table(name, content["tables"][name], content, numbers) for name in content["tables"]}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReproduceError(f"{path.name}: {type(error).__name__}: {error}") from error


def select(tables: Mapping[str, Table], name: str | None) -> list[Table]:
    """The table of that name, or all of them."""
    if name is not None and name not in tables:
        raise ReproduceError(f"there is no table {name!r}; there are: {', '.join(tables)}")
    return [tables[name]] if name is not None else list(tables.values())


def _table(name: str, entry: Mapping[str, Any], content: Mapping[str, Any], numbers: Mapping[str, Any]) -> Table:
    missing, unknown = TABLE_KEYS - set(entry), set(entry) - TABLE_KEYS - TABLE_OPTIONS
    if missing or unknown:
        raise ValueError(f"table {name}: missing {sorted(missing)}, unknown {sorted(unknown)}")
    program = content["programs"][entry["program"]]
    statistic = entry.get("statistic", "sample_std")
    if statistic not in STATISTICS:
        raise ValueError(f"table {name}: statistic {statistic!r} is none of {', '.join(STATISTICS)}")
    cells = []
    for row, line in entry["rows"].items():
        for column, column_flags in entry["columns"].items():
            flags = {**column_flags, **entry.get("flags", {}), **line["flags"]}
            cells.append(
                Cell(
                    id=f"{name}-{row}-{column}",
                    table=name,
                    row=line["label"],
                    column=column,
                    sub_project=program.get("sub_project", entry["program"]),
                    environment=program["environment"],
                    program=tuple(program["command"]),
                    flags=flags,
                    folder_flag=program["folder_flag"],
                    seeds=tuple(program["seeds"]),
                    steps=int(flags.get("max_iteration", program["steps"])),
                    metric=entry["metric"].format(column=column),
                    references=_references(entry, numbers, row=line["label"], column=column),
                    cost=Cost(**content["costs"][line.get("cost", entry.get("cost"))]),
                    data=tuple(entry["needs"]["data"]),
                    gpus=entry["needs"]["gpus"],
                    samples=_samples(entry, column),
                    shared_run=entry.get("shared_runs", {}).get(column, "").format(row=row) or None,
                    subfolder=program.get("subfolder", ""),
                    statistic=statistic,
                )
            )
    rows = tuple(line["label"] for line in entry["rows"].values())
    taken = entry.get("taken", "accuracy at the last cycle end")
    return Table(name, entry["title"], entry["columns_are"], taken, rows, tuple(entry["columns"]), tuple(cells))


def _samples(entry: Mapping[str, Any], column: str) -> Mapping[str, Mapping[str, Any]]:
    """The samples that this column has, each with its flags."""
    if "samples" not in entry:
        return ONE_SAMPLE
    found = {
        name: sample["flags"] for name, sample in entry["samples"].items() if column in sample.get("columns", [column])
    }
    if not found:
        raise ValueError(f"column {column}: none of the samples is meant for it")
    return found


def _references(entry: Mapping[str, Any], numbers: Any, **names: str) -> tuple[Reference, ...]:
    """The published values of one cell: those of its row and column, or by a path of keys for each source."""
    published = entry.get("published", {})
    if not isinstance(published, Mapping):
        published = {entry["source"]: [*published, "{row}", "{column}"]}
    found = {source: _value(_at(numbers, path, names)) for source, path in published.items()}
    return tuple(Reference(source, value, std) for source, (value, std) in found.items() if value is not None)


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ReproduceError(f"{path}: {error}") from error


def _at(numbers: Any, keys: list[str], names: Mapping[str, str]) -> Any:
    """What stands at the end of these keys; None where a `{row}` or `{column}` was not published."""
    for key in keys:
        name = key.format(**names)
        if name != key and name not in numbers:
            return None
        numbers = numbers[name]
    return numbers


def _value(entry: Any) -> tuple[float | None, float | None]:
    """A published entry is a number, [mean, std], or absent."""
    if isinstance(entry, list):
        return entry[0], entry[1]
    return entry, None
