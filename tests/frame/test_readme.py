"""What the READMEs name exists: files, targets, flags, functions, deviations."""

from __future__ import annotations

import ast
import dataclasses
import re
from pathlib import Path

import pytest

from ieg.flags import Flags

ROOT = Path(__file__).resolve().parents[2]
IEG = ROOT / "ieg"
PAGES = ("README.md", "ieg/README.md", "data/README.md", "environments/README.md", "CONTRIBUTING.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def section(title: str) -> str:
    """The text under a heading of ieg/README.md."""
    parts = re.split(r"^## (.+)$", (IEG / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def rows(title: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def anchors(page: Path) -> set[str]:
    """Names that a link can give after `#`: headings in small letters, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def definitions(source: str) -> set[str]:
    """Functions and classes of a module, methods as Class.method."""
    names = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
    return names


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    broken = []
    for link in LINK.findall(path.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = link.partition("#")
        target = path.parent / file if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_the_readmes_name_targets_that_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w%-]*):(?!=)", makefile, re.MULTILINE))
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES if (ROOT / page).exists())
    spans = re.findall(r"`make ([^`]+)`", text) + re.findall(r"^make ([^#\n]+)", text, re.MULTILINE)
    named = {word for span in spans for word in span.split() if re.fullmatch(r"[a-z][\w-]*", word)}
    assert {"demo", "test", "data-cifar10"} <= named
    assert {
        name for name in named if name not in targets and re.sub(r"^data-.+", "data-%", name) not in targets
    } == set()


def test_the_flags_that_the_ieg_readme_names_exist() -> None:
    text = (IEG / "README.md").read_text(encoding="utf-8")
    fields = {field.name: field.type for field in dataclasses.fields(Flags)}
    negated = {f"no{name}" for name, kind in fields.items() if kind == "bool"}
    named = set(re.findall(r"(?<![\w-])--(\w+)", text)) - {"help"}
    assert len(named) > 20
    assert named - set(fields) - negated == set()


def test_every_function_of_the_equation_table_exists() -> None:
    table = rows("Where each equation lives")
    assert len(table) > 20
    for row in table:
        assert len(row) == 3, row
        found = re.findall(r"((?:`[\w.]+`(?:, )?)+) in \[[^\]]*\]\(([^)]+)\)", row[1])
        assert found, row
        for names, file in found:
            known = definitions((IEG / file).read_text(encoding="utf-8"))
            assert set(re.findall(r"`([\w.]+)`", names)) <= known, (names, file)
        assert LINK.findall(row[2]), row


def test_every_deviation_is_tagged_and_in_the_table() -> None:
    tagged = {
        path.relative_to(IEG).as_posix()
        for path in IEG.rglob("*.py")
        if "DEVIATION:" in path.read_text(encoding="utf-8")
    }
    listed = {LINK.findall(row[1])[0] for row in rows("Deviations")}
    assert tagged == listed
    assert all(len(row) == 3 and all(row) for row in rows("Deviations"))
