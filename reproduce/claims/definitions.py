"""The claims of claims.yaml: what each one says, the cells it compares, and what decides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.results.published import published_number
from common.results.tables import format_mean
from reproduce.cells import PUBLISHED, Cell, Table, load_tables
from reproduce.cells.files import CLAIMS, read_yaml
from reproduce.claims.measures import terms
from reproduce.demo_cells import prepare

UNITS = {"points": (100.0, 1), "cosine": (1.0, 3), "times": (1.0, 2), "": (1.0, 3)}  # factor, digits
KEYS = {"paper", "statement", "short", "place", "published", "scaled_down", "curve", "comparisons"}
COMPARISON_KEYS = {"name", "measure", "of", "minus", "over", "above", "below", "matters", "unit"}


@dataclass(frozen=True)
class Comparison:
    """A number of each seed: `measure` of the cell `of`, minus that of `minus` or divided by that of `over`.

    It holds where the mean lies `matters` at least beyond `bound`: above it (`direction` 1) or below (-1).
    """

    name: str
    measure: str
    of: str
    minus: str
    over: str
    direction: int
    bound: float
    matters: float
    unit: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells it needs, the one it is about first."""
        return tuple(cell for cell in (self.of, self.minus, self.over) if cell)

    def text(self, number: float) -> str:
        """A number in its unit's digits, with its sign where it is a difference."""
        sign = "+" if self.minus or " - " in self.measure else ""
        return f"{number:{sign}.{UNITS[self.unit][1]}f}".replace("-", "−")


@dataclass(frozen=True)
class Claim:
    """One claim of a paper.

    `published`: words and the paper's number; `curve`: metric and what it is drawn against; `found`: what the reported
    runs show of it, written after them.
    """

    name: str
    paper: str
    statement: str
    short: str
    place: str
    published: Mapping[str, str]
    scaled_down: str
    curve: tuple[str, str]
    comparisons: tuple[Comparison, ...]
    cells: tuple[Cell, ...]
    tables: tuple[Table, ...]
    found: str = ""

    def label(self, name: str) -> str:
        """What readers call a cell: its row, with the column where the claim has several."""
        (cell,) = (cell for cell in self.cells if cell_name(cell) == name)
        return cell.row if len({other.column for other in self.cells}) == 1 else f"{cell.row}, {cell.column}"


def load_claims(path: Path = CLAIMS, data_dir: Path | None = None) -> dict[str, Claim]:
    """Every claim of the file, by name. A cell's run has a hash of its settings in its name: see `demo_cells`.

    Raises: UsageError that names the claim.
    """
    content, numbers = read_yaml(path), read_yaml(PUBLISHED)
    tables = {name: prepare(table, data_dir) for name, table in load_tables(path).items()}
    claims = {}
    for name, entry in content["claims"].items():
        try:
            claims[name] = _claim(name, entry, tables, numbers)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(f"{path.name}: claim {name}: {type(error).__name__}: {error}") from error
    return claims


def chosen(claims: Mapping[str, Claim], names: Sequence[str] = ()) -> dict[str, Claim]:
    """The claims of these names; without any, all of them. Raises: UsageError."""
    for name in names:
        if name not in claims:
            raise UsageError(f"there is no claim {name!r}; there are: {', '.join(claims)}")
    return {name: claims[name] for name in names or claims}


def cell_name(cell: Cell) -> str:
    """What claims.yaml calls it: its id without the hash of its settings."""
    return cell.id.rpartition("-")[0]


def settings_hash(cell: Cell) -> str:
    """The hash of its settings."""
    return cell.id.rpartition("-")[2]


def _claim(name: str, entry: Mapping[str, Any], tables: Mapping[str, Table], numbers: Any) -> Claim:
    if wrong := (set(entry) | {"found"}) ^ (KEYS | {"found"}):
        raise ValueError(f"missing or unknown: {', '.join(sorted(wrong))}")
    comparisons = tuple(_comparison(line) for line in entry["comparisons"])
    places = {cell_name(cell): (cell, table) for table in tables.values() for cell in table.cells}
    wanted = dict.fromkeys(cell for comparison in comparisons for cell in comparison.cells)
    if unknown := [cell for cell in wanted if cell not in places]:
        raise ValueError(f"no such cell: {', '.join(unknown)}; there are: {', '.join(places)}")
    published = {words: _published(numbers, keys) for words, keys in (entry["published"] or {}).items()}
    return Claim(
        name,
        entry["paper"],
        entry["statement"],
        entry["short"],
        entry["place"],
        published,
        entry["scaled_down"],
        (entry["curve"]["metric"], entry["curve"]["against"]),
        comparisons,
        tuple(places[cell][0] for cell in wanted),
        tuple({places[cell][1].name: places[cell][1] for cell in wanted}.values()),
        entry.get("found", ""),
    )


def _comparison(line: Mapping[str, Any]) -> Comparison:
    if unknown := set(line) - COMPARISON_KEYS:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    if ("above" in line) == ("below" in line):
        raise ValueError(f"{line['name']}: give above or below, one of them")
    terms(line["measure"])
    unit = line.get("unit", "points")
    UNITS[unit]
    direction = 1 if "above" in line else -1
    return Comparison(
        line["name"],
        line["measure"],
        line["of"],
        line.get("minus", ""),
        line.get("over", ""),
        direction,
        float(line["above" if direction == 1 else "below"]),
        float(line["matters"]),
        unit,
    )


def _published(numbers: Any, keys: list[str]) -> str:
    number, std = published_number(numbers, keys)
    if number is None:
        raise ValueError(f"published.yaml has no number at {' / '.join(keys)}")
    return format_mean(number, std)
