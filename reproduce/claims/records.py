"""The kept records of the claims' runs: a JSON file for each table, with numbers and their origin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common.results.tables import mean, sample_std
from common.storage.files import atomic_write
from reproduce.cells import ROOT, Cell
from reproduce.claims.definitions import Claim, cell_name, settings_hash
from reproduce.claims.measures import curve, numbers_of, seconds
from reproduce.runs import DONE, Run, distinct, runs_of

DOCS = ROOT / "docs" / "claims"
ORIGIN = ("git", "environment_lock", "libraries", "python", "device", "machine", "dataset")
Records = dict[str, dict[str, Any]]  # cell → its entry


def runs_of_claims(claims: Iterable[Claim], seeds: tuple[int, ...] | None, runs_dir: Path) -> list[Run]:
    """The runs of these claims, one that several of them need once."""
    cells = tuple({cell.id: cell for claim in claims for cell in claim.cells}.values())
    return distinct(runs_of(cells, seeds, runs_dir))


def entries(claims: Mapping[str, Claim], runs: list[Run]) -> Records:
    """What is kept of the cells of these claims of which all runs are done."""
    found: Records = {}
    for name, cell in _cells(claims).items():
        own = [run for run in runs if run.cell.id == cell.id]
        if own and all(run.state == DONE for run in own):
            found[name] = _entry(cell, own, [claim for claim in claims.values() if cell in claim.cells])
    return found


def read(claims: Mapping[str, Claim], folder: Path = DOCS) -> Records:
    """The kept entries of the claims' cells, without those that were run with other settings than claims.yaml has."""
    cells = _cells(claims)
    found: Records = {}
    for table in sorted({cell.table for cell in cells.values()}):
        path = _path(folder, table)
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        current = {name for name in kept if name in cells and kept[name]["settings"] == settings_hash(cells[name])}
        found |= {name: kept[name] for name in kept if name in current}
    return found


def write(records: Records, claims: Mapping[str, Claim], folder: Path) -> None:
    """Put these entries into the files of their tables, beside the current ones of other cells there."""
    cells, every = _cells(claims), read(claims, folder) | records
    for table in sorted({cells[name].table for name in records}):
        own = [name for name in sorted(every) if cells[name].table == table]
        _path(folder, table).parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(f"{json.dumps(name)}: {_text(every[name])}" for name in own)
        atomic_write(_path(folder, table), f"{{\n{lines}\n}}\n")


def numbers(records: Records) -> dict[str, dict[int, dict[str, float]]]:
    """Cell → seed → term → number."""
    return {name: {run["seed"]: run["numbers"] for run in entry["runs"]} for name, entry in records.items()}


def _cells(claims: Mapping[str, Claim]) -> dict[str, Cell]:
    return {cell_name(cell): cell for claim in claims.values() for cell in claim.cells}


def _path(folder: Path, table: str) -> Path:
    return folder / "records" / f"{table}.json"


def _entry(cell: Cell, runs: list[Run], claims: list[Claim]) -> dict[str, Any]:
    measures = sorted({line.measure for claim in claims for line in claim.comparisons if cell_name(cell) in line.cells})
    origins: list[dict[str, Any]] = []
    kept = []
    for run in runs:
        assert run.result is not None
        origin = {name: run.result[name] for name in ORIGIN if name in run.result}
        if origin not in origins:
            origins.append(origin)
        kept.append(
            {
                "seed": run.seed,
                "config_hash": run.result["config_hash"],
                "wall_seconds": round(seconds(run), 1),
                "origin": origins.index(origin),
                "numbers": {term: round(number, 6) for term, number in numbers_of(run, measures).items()},
            }
        )
    curves = {metric: _mean_curve(runs, metric, against) for metric, against in sorted({c.curve for c in claims})}
    return {"settings": settings_hash(cell), "origins": origins, "runs": kept, "curves": curves}


def _mean_curve(runs: list[Run], metric: str, against: str) -> dict[str, list[float]]:
    """Mean and sample standard deviation over seeds, where all seeds have a point."""
    points = [dict(curve(run, metric, against)) for run in runs]
    places = sorted(set.intersection(*(set(own) for own in points)))
    series = [[own[place] for own in points] for place in places]
    return {
        "x": places,
        "mean": [float(f"{mean(values):.4g}") for values in series],
        "std": [float(f"{sample_std(values) or 0.0:.3g}") for values in series],
    }


def _text(entry: Mapping[str, Any]) -> str:
    """An entry with one line a run, so that a diff shows which changed."""
    runs = ",\n  ".join(json.dumps(run, ensure_ascii=False) for run in entry["runs"])
    rest = {name: value for name, value in entry.items() if name != "runs"}
    return f'{json.dumps(rest, ensure_ascii=False)[:-1]}, "runs": [\n  {runs}]}}'
