"""The table cells of cells.yaml: what each one runs, what was published, what it needs and costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reproduce.errors import ReproduceError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CELLS, DEMO, PUBLISHED = HERE / "cells.yaml", HERE / "demo.yaml", HERE / "published.yaml"
TABLE_KEYS = {"title", "columns_are", "program", "metric", "needs", "columns", "rows"}
TABLE_OPTIONS = {"published", "source", "flags", "cost"}


@dataclass(frozen=True)
class Cost:
    """What one run takes: GPU-hours, and seconds a step on two CPU cores. `basis` says how that is known."""

    gpu_hours: float
    basis: str
    cpu_step_seconds: float
    cpu_basis: str


@dataclass(frozen=True)
class Cell:
    """One number of a table."""

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
    published: float | None
    published_std: float | None
    source: str | None
    cost: Cost
    data: tuple[str, ...]
    gpus: int

    def folder(self, seed: int, runs_dir: Path) -> Path:
        """Where the run of this cell and seed goes; its record lies somewhere below."""
        return runs_dir / self.sub_project / self.id / f"seed_{seed}"

    def command(self, seed: int, folder: Path) -> list[str]:
        """The exact command of one run, in the form the authors print theirs."""
        flags = {**self.flags, self.folder_flag: folder, "seed": seed}
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
    published = _at(numbers, entry["published"]) if "published" in entry else {}
    cells = []
    for row, line in entry["rows"].items():
        for column, column_flags in entry["columns"].items():
            value, std = _value(published.get(line["label"], {}).get(column))
            flags = {**column_flags, **entry.get("flags", {}), **line["flags"]}
            cells.append(
                Cell(
                    id=f"{name}-{row}-{column}",
                    table=name,
                    row=line["label"],
                    column=column,
                    sub_project=entry["program"],
                    environment=program["environment"],
                    program=tuple(program["command"]),
                    flags=flags,
                    folder_flag=program["folder_flag"],
                    seeds=tuple(program["seeds"]),
                    steps=int(flags.get("max_iteration", program["steps"])),
                    metric=entry["metric"],
                    published=value,
                    published_std=std,
                    source=entry.get("source") if value is not None else None,
                    cost=Cost(**content["costs"][line.get("cost", entry.get("cost"))]),
                    data=tuple(entry["needs"]["data"]),
                    gpus=entry["needs"]["gpus"],
                )
            )
    rows = tuple(line["label"] for line in entry["rows"].values())
    return Table(name, entry["title"], entry["columns_are"], rows, tuple(entry["columns"]), tuple(cells))


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ReproduceError(f"{path}: {error}") from error


def _at(numbers: Any, keys: list[str]) -> Any:
    for key in keys:
        numbers = numbers[key]
    return numbers


def _value(entry: Any) -> tuple[float | None, float | None]:
    """A published entry is a number, [mean, std], or absent."""
    if isinstance(entry, list):
        return entry[0], entry[1]
    return entry, None
