"""What the report page knows of every run: provenance, the end of its log, its curves thinned out. Packed to be small.

A line of text that many runs share, a flag or a setting, is stored once; the runs name it by its number.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.foreign_text import shortened, visible
from common.records.record_files import CONFIG, METRICS, parse_evaluation, read_result
from common.results.tables import STATISTICS
from reproduce.cells import ROOT, Table
from reproduce.curves import PANELS
from reproduce.engines.commands import LOG
from reproduce.runs import DONE, Run, by_cell, distinct, records_of

CURVE_NUMBERS = 500_000  # in the whole page
LOG_CHARACTERS = 1_000_000  # in the whole page
FEWEST_POINTS, MOST_POINTS = 24, 200
MOST_LOG = 2_000  # characters of one run
SHOWN_FIRST = [name for names in PANELS.values() for name in names]
RECORD = ("stage", "folder", "command", "config", "log", "facts", "curves")
RUN = ("name", "table", "row", "column", "seed", "sample", "state", "why", "value", "seconds", "records")


class Numbered:
    """Gives each different item its number, from 0 on in the order of their coming."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def number(self, item: Any) -> int:
        """The number of this item."""
        if item not in self._numbers:
            self._numbers[item] = len(self.items)
            self.items.append(item)
        return self._numbers[item]


class Pages:
    """Collects what the page shows; `budget` is shared by all runs that have a record."""

    def __init__(self, runs: int) -> None:
        self.texts, self.steps = Numbered(), Numbered()
        self.log_characters = min(MOST_LOG, LOG_CHARACTERS // max(1, runs))
        self.curve_numbers = CURVE_NUMBERS // max(1, runs)

    def lines(self, lines: Sequence[str]) -> list[int]:
        """The numbers of these lines."""
        return [self.texts.number(visible(shortened(line))) for line in lines]

    def record(self, stage: str, folder: Path, log: Path) -> list[Any]:
        """One record as RECORD names its parts."""
        try:
            result = read_result(folder)
        except RecordError as error:
            return [stage, self.texts.number(shown(folder)), [], [], [], self.lines([f"refused: {error}"]), {}]
        config = folder / CONFIG
        settings = config.read_text(encoding="utf-8", errors="replace").splitlines() if config.is_file() else []
        return [
            stage,
            self.texts.number(shown(folder)),
            self.lines(result["command"]),
            self.lines(settings),
            self.lines(tail(log, self.log_characters)),
            self.lines(facts(result)),
            self.curves(folder),
        ]

    def curves(self, folder: Path) -> dict[str, list[Any]]:
        """The metrics of a record by name: number of the steps, values; thinned out as far as the page's size asks."""
        evaluations = thinned_lines(folder / METRICS, max(FEWEST_POINTS, min(MOST_POINTS, self.curve_numbers // 8)))
        names = sorted({name for line in evaluations for name in line} - {"step", "epoch"}, key=_place)
        kept = max(1, self.curve_numbers // max(1, len(evaluations)))
        curves = {}
        for name in names[:kept]:
            points = [(line["step"], line[name]) for line in evaluations if name in line]
            steps = self.steps.number(tuple(step for step, _ in points))
            curves[name] = [steps, [float(f"{value:.4g}") for _, value in points]]
        return curves


def packed(filled: Sequence[tuple[Table, Sequence[Run]]]) -> str:
    """Everything, as JSON, compressed, in letters that an HTML page can hold."""
    runs = distinct([run for _, of_table in filled for run in of_table])
    records = {run.folder: records_of(run) for run in runs}
    pages = Pages(sum(map(len, records.values())))
    numbers = {run.folder: number for number, run in enumerate(runs)}
    data = {
        "run_fields": RUN,
        "record_fields": RECORD,
        "runs": [_run(run, records[run.folder], pages) for run in runs],
        "cells": {
            cell: [numbers[run.folder] for run in of_cell]
            for cell, of_cell in by_cell(run for _, of_table in filled for run in of_table).items()
        },
        "tables": [[table.name, table.title] for table, _ in filled],
        "texts": pages.texts.items,
        "steps": pages.steps.items,
    }
    return base64.b64encode(gzip.compress(json.dumps(data, separators=(",", ":")).encode(), 9, mtime=0)).decode()


def facts(result: dict[str, Any]) -> list[str]:
    """Provenance of a record, one `name: value` a line."""
    dataset, git, notes = result["dataset"], result["git"], result["notes"]
    commit = git["commit"] or "unknown"
    lines = [
        f"commit: {commit}{' with changes that were not committed' if git['dirty'] else ''}",
        f"environment: lock {result['environment_lock'] or 'unknown'}",
        f"libraries: {', '.join(f'{name} {version}' for name, version in result['libraries'].items())}",
        f"python: {result['python']}",
        f"hardware: {result['device']}, {result['world_size']} replica{'s' if result['world_size'] > 1 else ''}",
        f"time: {result['wall_seconds'] / 3600:.3g} h",
        f"peak memory: {result['peak_memory_bytes'] / 2**30:.3g} GiB in one process",
        f"data: {dataset['name']}, {dataset['version']}",
        f"data fingerprint: {dataset['fingerprint']}",
        f"config hash: {result['config_hash']}",
        f"metrics at step {result['metrics_step']}: "
        + ", ".join(f"{name} {value:.6g}" for name, value in result["metrics"].items()),
    ]
    return lines + [f"note {name}: {json.dumps(value)}" for name, value in notes.items()]


def tail(path: Path, characters: int) -> list[str]:
    """The last lines of a log, as many as fit into that many characters, but at least one."""
    if not path.is_file():
        return []
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - 16 * characters))
        text = file.read().decode("utf-8", errors="replace")
    kept: list[str] = []
    for line in reversed(text.rstrip("\n").split("\n")):
        if kept and sum(map(len, kept)) + len(line) > characters:
            break
        kept.insert(0, line.split("\r")[-1][:characters])
    return kept


def thinned_lines(path: Path, points: int) -> list[dict[str, float]]:
    """At most so many evaluations of a metrics.jsonl, evenly spread, the first and the last among them."""
    if not path.is_file():
        return []
    complete, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    lines = complete.splitlines()
    last = len(lines) - 1
    chosen = range(len(lines)) if last < points else sorted({round(k * last / (points - 1)) for k in range(points)})
    evaluations = []
    for index in chosen:
        try:
            evaluations.append(parse_evaluation(lines[index]))
        except ValueError:  # the page is made of what can be read; `verify` says what is wrong
            continue
    return evaluations


def shown(path: Path) -> str:
    """A path as one would type it in the repository's root."""
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _run(run: Run, records: list[tuple[str, Path]], pages: Pages) -> list[Any]:
    cell, value, seconds = run.cell, None, None
    if run.state == DONE and run.result:
        value = round(STATISTICS[cell.statistic].percent(run.result["metrics"][cell.metric]), 4)
        seconds = run.result["wall_seconds"]
    names = [pages.texts.number(text) for text in (run.name, cell.table, cell.row, cell.column)]
    details = [pages.record(stage, folder, run.folder / LOG) for stage, folder in records]
    return [*names, run.seed, run.sample, run.state, run.why, value, seconds, details]


def _place(name: str) -> tuple[int, str]:
    return SHOWN_FIRST.index(name) if name in SHOWN_FIRST else len(SHOWN_FIRST), name
