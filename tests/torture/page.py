"""The table of docs/reliability.md, made from its record: python -m tests.torture.page [RECORD.json …].

Records that are named come first into docs/reliability.json, beside those of other commands: their counts are summed.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from common.results.tables import markdown_table
from common.storage.files import atomic_write
from tests.torture.__main__ import merge

DOCS = Path(__file__).resolve().parents[2] / "docs"
RECORD, PAGE = DOCS / "reliability.json", DOCS / "reliability.md"
DETAILS = ("SIG", "ended with")  # of the kills, which the record has
BEGIN, END = "<!-- torture -->", "<!-- /torture -->"


def table(record: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """One line a campaign and environment."""
    lines = []
    for name, by_environment in sorted(record.items()):
        for environment, runs in sorted(by_environment.items()):
            counts = sum((Counter(one["counts"]) for one in runs), Counter[str]())
            shown = {what: number for what, number in counts.items() if not what.startswith(DETAILS)}
            counted = ", ".join(f"{number:,} {what}" for what, number in Counter(shown).most_common())
            failures = sum(len(one["failures"]) for one in runs)
            seeds, where = ", ".join(str(one["seed"]) for one in runs), f"{runs[-1]['date']}, {runs[-1]['hardware']}"
            lines.append([name, environment, counted, str(failures), seeds, where])
    return markdown_table(["campaign", "environment", "cases", "failures", "seeds", "when, where"], lines)


def filled(page: str, record: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(record)}{END}{rest.partition(END)[2]}"


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0."""
    record = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    for path in sys.argv[1:] if argv is None else argv:
        try:
            newer = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            sys.exit(f"error: {path} is no record of make torture ({error})")
        for one in (one for by_environment in newer.values() for runs in by_environment.values() for one in runs):
            one["command"] = one["command"].partition(" --out")[0]
        merge(record, newer)
    atomic_write(RECORD, json.dumps(record, indent=1, sort_keys=True) + "\n")
    atomic_write(PAGE, filled(PAGE.read_text(encoding="utf-8"), record))
    return 0


if __name__ == "__main__":
    sys.exit(main())
