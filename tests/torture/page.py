"""The table of docs/reliability.md, made from its record: python -m tests.torture.page [RECORD.json …].

Records that are named replace those of the same campaigns and environments in docs/reliability.json first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.results.tables import markdown_table
from common.storage.files import atomic_write

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECORD, PAGE = DOCS / "reliability.json", DOCS / "reliability.md"
BEGIN, END = "<!-- torture -->", "<!-- /torture -->"


def table(record: dict[str, dict[str, Any]]) -> str:
    """One line a campaign and environment."""
    lines = []
    for name, by_environment in sorted(record.items()):
        for environment, one in sorted(by_environment.items()):
            largest_first = sorted(one["counts"].items(), key=lambda item: -item[1])
            counted = ", ".join(f"{number:,} {what}" for what, number in largest_first)
            where = f"{one['date']}, {one['hardware']}"
            lines.append([name, environment, counted, str(len(one["failures"])), str(one["seed"]), where])
    return markdown_table(["campaign", "environment", "cases", "failures", "seed", "when, where"], lines)


def filled(page: str, record: dict[str, dict[str, Any]]) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(record)}{END}{rest.partition(END)[2]}"


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for path in sys.argv[1:] if argv is None else argv:
        for name, by_environment in json.loads(Path(path).read_text(encoding="utf-8")).items():
            record.setdefault(name, {}).update(by_environment)
    for one in (one for by_environment in record.values() for one in by_environment.values()):
        one["command"] = one["command"].partition(" --out")[0]
    atomic_write(RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
    atomic_write(PAGE, filled(PAGE.read_text(encoding="utf-8"), record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
