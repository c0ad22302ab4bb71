"""What a comparison measures: numbers of a finished run, added and subtracted.

`last accuracy - best accuracy`. A term is a plain number or
    last NAME    result.json's metric, else the last value in metrics.jsonl, of the run's last stage that has it
    first NAME   the first value in metrics.jsonl
    best NAME    the best epoch on test, which is no result: it shows how far a run fell after it
    note NAME    a number of result.json's notes
    seconds      the wall time of the last stage
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.errors import RecordError, UsageError
from common.records.record_files import METRICS, read_metrics, read_result
from reproduce.runs import Run, records_of

KINDS = ("last", "first", "best", "note", "seconds")
MOST_POINTS = 40


def terms(measure: str) -> list[tuple[int, str]]:
    """Sign and text of each term. Raises: UsageError for one that is not of the forms above."""
    parts = re.split(r" ([+-]) ", measure.strip())
    signs = [1, *(1 if sign == "+" else -1 for sign in parts[1::2])]
    for term in parts[::2]:
        kind, _, name = term.partition(" ")
        if not (_is_number(term) or (kind in KINDS and bool(name) == (kind != "seconds"))):
            raise UsageError(f"measure {measure!r}: {term!r} is no number and none of {', '.join(KINDS)} with a name")
    return list(zip(signs, parts[::2], strict=True))


def value(measure: str, numbers: Mapping[str, float]) -> float:
    """The measure from a run's numbers, each under its term."""
    return sum(sign * (float(term) if _is_number(term) else numbers[term]) for sign, term in terms(measure))


def numbers_of(run: Run, measures: list[str]) -> dict[str, float]:
    """The terms that these measures need, of a finished run. Raises: RecordError for one that it lacks."""
    wanted = {term for measure in measures for _, term in terms(measure) if not _is_number(term)}
    return {term: _number(run, term) for term in sorted(wanted)}


def curve(run: Run, name: str, against: str) -> list[tuple[float, float]]:
    """A metric `against` step or epoch, at most MOST_POINTS evenly spread, first and last among them."""
    points = [(line[against], line[name]) for line in _lines(run, name)]
    if len(points) <= MOST_POINTS:
        return points
    last = len(points) - 1
    return [points[round(k * last / (MOST_POINTS - 1))] for k in range(MOST_POINTS)]


def _number(run: Run, term: str) -> float:
    kind, _, name = term.partition(" ")
    result = run.result
    assert result is not None
    found: Any = None
    if kind == "seconds":
        found = result["wall_seconds"]
    elif kind == "note":
        found = result["notes"].get(name)
    elif kind == "best":
        found = result["best_on_test"].get(name, {}).get("value")
    elif kind == "last" and name in result["metrics"]:
        found = result["metrics"][name]
    elif lines := _lines(run, name):
        found = lines[-1 if kind == "last" else 0][name]
    if not isinstance(found, (int, float)):
        raise RecordError(f"{run.record_folder}: this run of {run.name} has no number for {term!r}")
    return float(found)


def _lines(run: Run, name: str) -> list[dict[str, float]]:
    """Evaluations that have this metric, of the last stage that has any."""
    for _, folder in reversed(records_of(run)):
        lines = read_metrics(folder) if (Path(folder) / METRICS).exists() else []
        if found := [line for line in lines if name in line]:
            return found
    return []


def seconds(run: Run) -> float:
    """The wall time of all stages."""
    return sum(read_result(folder)["wall_seconds"] for _, folder in records_of(run))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None
