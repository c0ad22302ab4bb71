"""Published numbers of cells, looked up in published.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reproduce.cells.table import Reference


def references(entry: Mapping[str, Any], numbers: Any, **names: str) -> tuple[Reference, ...]:
    """The published values of one cell: those of its row and column, or by a path of keys for each source."""
    published = entry.get("published", {})
    if not isinstance(published, Mapping):
        published = {entry["source"]: [*published, "{row}", "{column}"]}
    values = {source: _value(_at(numbers, path, names)) for source, path in published.items()}
    return tuple(Reference(source, value, std) for source, (value, std) in values.items() if value is not None)


def quoted(
    entry: Mapping[str, Any], columns: tuple[str, ...], numbers: Any
) -> tuple[dict[str, dict[str, Reference]], str]:
    """Rows that have published values and no cells, and why. Raises: ValueError for one without a published value."""
    rows: dict[str, dict[str, Reference]] = {}
    for row in entry.get("quoted", {}).get("rows", ()):
        known = {column: references(entry, numbers, row=row, column=column) for column in columns}
        rows[row] = {column: values[0] for column, values in known.items() if values}
        if not rows[row]:
            raise ValueError(f"quoted row {row}: no number of it was published")
    return rows, entry["quoted"]["why"] if rows else ""


def published_number(numbers: Any, keys: list[str]) -> tuple[float | None, float | None]:
    """Mean and standard deviation at the end of these keys of published.yaml. Raises: KeyError."""
    return _value(_at(numbers, keys, {}))


def _at(numbers: Any, keys: list[str], names: Mapping[str, str]) -> Any:
    """The value at the end of these keys; None where a `{row}` or `{column}` was not published."""
    for key in keys:
        name = key.format(**names)
        if isinstance(numbers, list):
            numbers = {_row_label(entry): entry for entry in numbers}
        if name != key and name not in numbers:
            return None
        numbers = numbers[name]
    return numbers


def _row_label(entry: Mapping[str, Any]) -> str:
    """The label of a row whose settings are listed with its numbers."""
    return f"{entry['method']}, K {entry['k']}" + (f", α {entry['alpha']}" if entry["alpha"] else "")


def _value(entry: Any) -> tuple[float | None, float | None]:
    """A published entry is a number, [mean, std], or absent."""
    if isinstance(entry, list):
        return entry[0], entry[1]
    return entry, None
