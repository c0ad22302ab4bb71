"""Numbers from logs that others published: a sub-project's own program reads them, the tables here show them.

They have separate tables: no run of ours made them, and no record of ours proves them.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.children import output_of
from common.errors import UsageError
from common.results.tables import STATISTICS
from reproduce.cells import ROOT, Cell, Table
from reproduce.engines.commands import started
from reproduce.runs import DONE, MISSING, Run
from reproduce.tables.paper_tables import standings

FOLDER, ORIGIN = "imported", "logs.txt"
PROGRAMS = {"re_sln": (["python", "-m", "re_sln.results"], "pytorch")}
# Our table → its name in re_sln; rows and columns are the same.
RE_SLN = {
    "sln-cifar10": "cifar10",
    "sln-cifar100": "cifar100",
    "sln-animal10n": "animal-10n",
    "sln-sigma": "sigma-search",
    "sln-sigma-ablation": "sigma-ablation",
}


def read_logs(sub_project: str, logs: Path, runs_dir: Path) -> Path:
    """Let the sub-project's program read the logs; returns the folder of what it made of them."""
    if sub_project not in PROGRAMS:
        raise UsageError(f"import {sub_project}: only logs of {', '.join(PROGRAMS)} can be imported")
    if not logs.is_dir():
        raise UsageError(f"{logs} is not a folder; name the folder with the published runs")
    folder = runs_dir / FOLDER / sub_project
    folder.mkdir(parents=True, exist_ok=True)
    words, environment = PROGRAMS[sub_project]
    command = started([*words, f"--logdir={logs.resolve()}", f"--out={folder}"], environment)
    done = output_of(command, ROOT)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UsageError(f"{sub_project} could not read {logs}: {said[-1] if said else done.returncode}")
    (folder / ORIGIN).write_text(f"{logs.resolve()}\n", encoding="utf-8")
    return folder


def imported_tables(runs_dir: Path, papers: Mapping[str, Table]) -> list[tuple[Table, list[Run]]]:
    """The tables of what was imported, each named so; nothing where nothing was. papers: the papers' tables."""
    folder = runs_dir / FOLDER / "re_sln"
    if not (folder / ORIGIN).exists():
        return []
    return [_filled(papers[name], folder / f"{stem}.csv") for name, stem in RE_SLN.items()]


def agreement(filled: list[tuple[Table, list[Run]]]) -> tuple[int, list[str]]:
    """How many published re-run values these tables give to the last digit, and each of the others in words."""
    same, others = 0, []
    for table, runs in filled:
        for result in standings(table.cells, runs):
            digits = STATISTICS[result.statistic].digits
            for known in result.references:
                if known.source != "rerun":
                    continue
                published = (known.value, known.std)
                ours = tuple(None if value is None else round(value, digits) for value in (result.mean, result.std))
                if ours == published:
                    same += 1
                else:
                    others.append(f"{result.id}: {ours[0]} ± {ours[1]}, published {known.value} ± {known.std}")
    return same, others


def _filled(table: Table, path: Path) -> tuple[Table, list[Run]]:
    changes: dict[str, Any] = {"table": f"{table.name}-{FOLDER}", "gpus": 0, "shared_run": None}  # nothing is to be run
    cells = [dataclasses.replace(cell, id=f"{cell.id}-{FOLDER}", **changes) for cell in table.cells]
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = {(line["row"], line["column"]): line for line in csv.DictReader(file)}
        runs = [run for cell in cells for run in _runs(cell, lines.get((cell.row, cell.column)), path.parent)]
    except (OSError, ValueError, LookupError, AttributeError, TypeError, csv.Error) as error:
        raise UsageError(
            f"{path} is damaged ({type(error).__name__}: {error}); move {path.parent} away, or import the logs again"
        ) from error
    title, taken = f"{table.title}, from published logs", f"{table.taken} of the published logs, no runs of ours"
    name = f"{table.name}-{FOLDER}"
    return dataclasses.replace(table, name=name, title=title, taken=taken, cells=tuple(cells)), runs


def _runs(cell: Cell, line: dict[str, str] | None, folder: Path) -> list[Run]:
    """One run for each value of a cell; where there is none, one that is missing."""
    values = [float(value) for value in line["values"].split()] if line else []
    names = line["records"].split("; ") if line and values else []
    if not values:
        return [Run(cell, 0, "", folder / cell.id, MISSING)]
    why = f"a published run, {{}}; its logs were read from {(folder / ORIGIN).read_text(encoding='utf-8').strip()}"
    return [
        Run(cell, number, name, folder / cell.id / name, DONE, _result(cell, value), why=why.format(name))
        for number, (name, value) in enumerate(zip(names, values, strict=True))
    ]


def _result(cell: Cell, percent: float) -> dict[str, Any]:
    return {"metrics": {cell.metric: percent / 100}, "wall_seconds": None}
