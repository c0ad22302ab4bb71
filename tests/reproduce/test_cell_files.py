"""What the comments of the cells files say, and the form of the files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from reproduce import plan
from reproduce.cells import DEMO, EVIDENCE, PAPERS, Table, load_tables
from reproduce.cells.files import PROGRAMS
from reproduce.runs import runs_of
from reproduce.tables.pages import first_seeds


def header(table: Table) -> str:
    """`One seed: 20 runs, 5 GPU-hours (estimated). Expected: 67.9 to 96.8 (paper).`"""
    runs = first_seeds(runs_of(table.cells, None, Path("no such folder")))
    values: dict[str, list[float]] = {}
    for known in (known for cell in table.cells for known in cell.references):
        values.setdefault(known.source, []).append(known.value)
    expected = [
        f"{' to '.join(map(str, sorted({min(found), max(found)})))} ({source})" for source, found in values.items()
    ]
    count = f"{len(runs)} run{'s' if len(runs) > 1 else ''}"
    return f"One seed: {count}, {plan.gpu_cost(runs)}. Expected: {', '.join(expected) or 'no value was at hand'}."


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_the_comment_above_each_table_says_what_it_costs_and_what_to_expect(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name, table in load_tables(path).items():
        (comment,) = re.findall(rf"((?:^  #.*\n)+)  {name}:", text, re.MULTILINE)
        assert header(table) in " ".join(comment.replace("  #", "").split()), name


def test_every_table_is_in_the_file_of_its_paper_and_in_no_other() -> None:
    names = {path.stem: list(load_tables(path)) for path in PAPERS}
    assert all(name.startswith(f"{paper}-") for paper, own in names.items() for name in own)
    assert [name for own in names.values() for name in own] == list(load_tables())


@pytest.mark.parametrize("path", [*PAPERS, DEMO, EVIDENCE, PROGRAMS], ids=lambda path: path.stem)
def test_no_line_is_too_long_to_read(path: Path) -> None:
    long = [line for line in path.read_text(encoding="utf-8").splitlines() if len(line) > 120]
    assert not long


def test_every_key_of_a_file_is_explained() -> None:
    page = (PAPERS[0].parent / "README.md").read_text(encoding="utf-8")
    programs = PROGRAMS.read_text(encoding="utf-8")
    for path in (*PAPERS, DEMO, EVIDENCE):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        keys = {key for entry in content["tables"].values() for key in entry}
        keys |= {key for entry in content["tables"].values() for row in entry["rows"].values() for key in row}
        keys |= {key for entry in content["programs"].values() for key in entry}
        keys |= {key for entry in content["costs"].values() for key in entry} | set(content)
        assert [key for key in keys if f"`{key}`" not in page] == [], path.name
    for key in {key for entry in yaml.safe_load(programs).values() for key in entry}:
        assert f"\n#   {key} " in programs
