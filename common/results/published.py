"""Published numbers: what published.yaml has for a row and a column of a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).with_name("published.yaml")
# What each source of a published number is, the one that a gap is told against first.
SOURCES = {
    "paper": "read in the paper's own table",
    "cited": "the paper's value, as printed beside an independent re-run",
    "authors": "from the authors' repository",
    "aggregator": "from a third-party page, unverified",
    "rerun": "that re-run's own value",
}


@dataclass(frozen=True)
class Reference:
    """A published value in percent, and who published it: a key of SOURCES."""

    source: str
    value: float
    std: float | None


def references(published: Mapping[str, Sequence[str]], numbers: Any, **names: str) -> tuple[Reference, ...]:
    """The published values of one cell, in the order of SOURCES.

    published: for each source the keys to follow in `numbers`, which may say `{row}` and `{column}`; names: these.
    """
    values = {source: published_number(numbers, keys, **names) for source, keys in published.items()}
    known = [Reference(source, value, std) for source, (value, std) in values.items() if value is not None]
    order = {source: number for number, source in enumerate(SOURCES)}
    return tuple(sorted(known, key=lambda reference: order.get(reference.source, len(order))))


def published_number(numbers: Any, keys: Sequence[str], **names: str) -> tuple[float | None, float | None]:
    """Mean and standard deviation at the end of these keys; None where a `{row}` or `{column}` was not published.

    Raises: KeyError for another key that is not there.
    """
    for key in keys:
        name = key.format(**names)
        if isinstance(numbers, list):
            numbers = {_row_label(entry): entry for entry in numbers}
        if name != key and name not in numbers:
            return None, None
        numbers = numbers[name]
    return (numbers[0], numbers[1]) if isinstance(numbers, list) else (numbers, None)


def _row_label(entry: Mapping[str, Any]) -> str:
    """The label of a row whose settings are listed with its numbers."""
    return f"{entry['method']}, K {entry['k']}" + (f", α {entry['alpha']}" if entry["alpha"] else "")
