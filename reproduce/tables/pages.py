"""The parts of the READMEs that are made from the cells files and from the records that are kept: never typed twice.

A part is between `<!-- reproduce:NAME -->` and `<!-- /reproduce:NAME -->`; pages in docs/tables/ are made as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from common.errors import UsageError
from common.results.result_table import NOT_RUN
from common.results.tables import markdown_table
from common.storage.files import atomic_write
from reproduce import plan
from reproduce.cells import EVIDENCE, ROOT, Table, load_tables
from reproduce.claims import page as claims_page
from reproduce.claims.records import DOCS as CLAIMS
from reproduce.gpu import keeping as gpu_sessions
from reproduce.keep import RECORDS
from reproduce.runs import Run, distinct, runs_of
from reproduce.tables import paper_tables
from reproduce.tables.paper_tables import standings, verdict

README, TABLES, EVIDENCE_PAGE = ROOT / "README.md", ROOT / "docs" / "tables", RECORDS / "README.md"
PAPERS = {"ieg": "IEG", "fsr": "FSR", "sln": "SLN", "moco": "MoCo"}  # a table's name begins with its paper's
MADE = "<!-- Made by `python -m reproduce readme`. Do not edit: edit reproduce/cells/. -->"


def pages(records: Path = RECORDS) -> dict[Path, str]:
    """Every file that is made, or has parts that are, with the text that it should have."""
    filled = [(table, runs_of(table.cells, None, records)) for table in load_tables().values()]
    kept = [(table, runs_of(table.cells, None, records)) for table in load_tables(EVIDENCE).values()]
    evidence = EVIDENCE_PAGE.read_text(encoding="utf-8")
    for table, runs in kept:
        evidence = replaced(evidence, table.name, _evidence(table, runs))
    evidence = replaced(evidence, "gpu", gpu_sessions.section(gpu_sessions.KEPT))
    papers = {paper: [own for own in filled if own[0].name.startswith(f"{paper}-")] for paper in PAPERS}
    claims = claims_page.kept_findings()
    readme = replaced(README.read_text(encoding="utf-8"), "results", results(papers))
    return {
        README: replaced(readme, "claims", claims_page.summary(claims)),
        CLAIMS / "README.md": claims_page.page(claims, CLAIMS),
        EVIDENCE_PAGE: evidence,
        **{TABLES / f"{paper}.md": tables_page(PAPERS[paper], tables) for paper, tables in papers.items()},
    }


def write_pages() -> list[Path]:
    """Write what has changed; returns these files."""
    changed = [(path, text) for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path, text in changed:
        path.parent.mkdir(exist_ok=True)
        atomic_write(path, text)
    return [path for path, _ in changed]


def replaced(text: str, name: str, content: str) -> str:
    """The text with another content between the two marks of that name. Raises: UsageError."""
    begin, end = f"<!-- reproduce:{name} -->", f"<!-- /reproduce:{name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise UsageError(f"the page must contain {begin} and {end} once each, in this order")
    return text[: text.index(begin) + len(begin)] + f"\n{content.strip()}\n" + text[text.index(end) :]


def results(papers: dict[str, list[tuple[Table, list[Run]]]]) -> str:
    """One line a paper: how many of its cells have been run, and what one seed of them all costs."""
    lines = []
    for paper, filled in papers.items():
        cost = plan.gpu_cost([run for _, runs in filled for run in first_seeds(runs)])
        lines.append([f"[{PAPERS[paper]}](docs/tables/{paper}.md)", cells_run(filled), cost])
    return markdown_table(["paper", "cells run", "one seed of all"], lines)


def overview(filled: list[tuple[Table, list[Run]]]) -> str:
    """One line a table: what reproduces it, how many of its cells have been run, what one seed costs."""
    lines = [
        [f"`make reproduce-{table.name}`", f"[{table.name}](#{anchor(table.name)})",
         cells_run([(table, runs)]), plan.gpu_cost(first_seeds(runs))]
        for table, runs in filled
    ]  # fmt: skip
    return markdown_table(["command", "table", "cells run", "one seed"], lines)


def cells_run(filled: list[tuple[Table, list[Run]]]) -> str:
    """Cells with a number of ours, of all."""
    counts = Counter(verdict(result) for table, runs in filled for result in standings(table.cells, runs))
    return f"{counts.total() - counts[NOT_RUN]} of {counts.total()}"


def first_seeds(runs: list[Run]) -> list[Run]:
    """The runs of each cell's first seed."""
    return [run for run in distinct(runs) if run.seed == run.cell.seeds[0]]


def tables_page(paper: str, filled: list[tuple[Table, list[Run]]]) -> str:
    """docs/tables/<paper>.md: every table of a paper with its commands."""
    parts = [
        MADE,
        f"# Tables of {paper}",
        "Each cell: ours, what was published and by whom, the gap.\n"
        "Below each table, the exact command behind each of its cells, for the first seed.",
        overview(filled).strip(),
    ]
    for table, runs in filled:
        text = paper_tables.filled(table, runs).markdown()
        parts += [f"## {table.name}", text.strip(), _commands(table)]
    return "\n\n".join(parts) + "\n"


def anchor(heading: str) -> str:
    """What a link to a heading gives after `#`."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _commands(table: Table) -> str:
    seen: dict[str, None] = {}
    for cell in table.cells:
        for sample in cell.samples:
            folder = cell.folder(cell.seeds[0], Path("runs"), sample)
            seen.setdefault(" && ".join(" ".join(words) for words in cell.commands(cell.seeds[0], folder, sample)))
    seeds = ", ".join(map(str, table.cells[0].seeds))
    lines = "\n".join(seen)
    return (
        f"<details><summary>{len(seen)} commands; seeds {seeds}</summary>\n\n```\n{lines}\n```\n\n</details>\n\n"
        f"`make reproduce-{table.name}` runs all of them, `DRY_RUN=1` prints them."
    )


def _evidence(table: Table, runs: list[Run]) -> str:
    links = [
        f"[{run.cell.row}, seed {run.seed}]({(run.record_folder / 'result.json').relative_to(RECORDS)})"
        for run in distinct(runs)
        if run.record_folder and run.record_folder.is_relative_to(RECORDS)
    ]
    text = paper_tables.filled(table, runs).markdown()
    return f"{text}\nRecords: {', '.join(links) or 'none are kept'}."
