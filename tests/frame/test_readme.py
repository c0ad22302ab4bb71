"""What the READMEs name exists: files, targets, flags, functions, deviations."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from ieg.settings.flags import Flags
from re_sln.settings.flags import Flags as SlnFlags
from reproduce.cells import load_tables

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = ("ieg", "re_sln", "moco_nonsem")
FLAGS = {"ieg": Flags, "re_sln": SlnFlags}
OTHER_FLAGS = {"re_sln": {"logdir", "val_size", "val_transform", "exp_id", "plot_type", "nproc_per_node"}}
PAGES = (
    "README.md",
    "ieg/README.md",
    "ieg/datasets/README.md",
    "ieg/devices/README.md",
    "ieg/methods/README.md",
    "ieg/training/README.md",
    "re_sln/README.md",
    "moco_nonsem/README.md",
    "preprocess/README.md",
    "data/README.md",
    "reproduce/README.md",
    "benchmarks/README.md",
    "docs/evidence/README.md",
    "docs/claims/README.md",
    "docs/claims/pilots.md",
    "docs/extending.md",
    "docs/flags.md",
    "CHANGELOG.md",
    "environments/README.md",
    "CONTRIBUTING.md",
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def section(project: str, title: str) -> str:
    """The text under a heading of a sub-project's README.md."""
    parts = re.split(r"^## (.+)$", (ROOT / project / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def rows(project: str, title: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head."""
    lines = [line for line in section(project, title).splitlines() if line.startswith("|")]
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
    targets |= {f"reproduce-{table}" for table in load_tables()}
    text = "\n".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES if (ROOT / page).exists())
    spans = re.findall(r"`make ([^`]+)`", text) + re.findall(r"^make ([^#\n]+)", text, re.MULTILINE)
    named = {word for span in spans for word in span.split() if re.fullmatch(r"[a-z][\w-]*", word)}
    assert {"demo", "test", "data-cifar10"} <= named
    assert {
        name for name in named if name not in targets and re.sub(r"^data-.+", "data-%", name) not in targets
    } == set()


@pytest.mark.parametrize("project", FLAGS)
def test_the_flags_that_a_readme_names_exist(project: str) -> None:
    text = (ROOT / project / "README.md").read_text(encoding="utf-8")
    fields = {field.name: field.type for field in dataclasses.fields(FLAGS[project])}
    negated = {f"no{name}" for name, kind in fields.items() if kind == "bool"}
    named = set(re.findall(r"(?<![\w-])--(\w+)", text)) - {"help"} - OTHER_FLAGS.get(project, set())
    assert len(named) > 20
    assert named - set(fields) - negated == set()


@pytest.mark.parametrize("project", PROJECTS)
def test_every_function_of_the_equation_table_exists(project: str) -> None:
    table = rows(project, "Where each equation lives")
    assert len(table) > 12
    for row in table:
        assert len(row) == 3, row
        found = re.findall(r"((?:`[\w.]+`(?:, )?)+) in \[[^\]]*\]\(([^)]+)\)", row[1])
        assert found, row
        for names, file in found:
            known = definitions((ROOT / project / file).read_text(encoding="utf-8"))
            assert set(re.findall(r"`([\w.]+)`", names)) <= known, (names, file)
        assert LINK.findall(row[2]), row


def deviations(path: Path) -> list[str]:
    """Comments of a file that begin with `DEVIATION:`, each to its last line."""
    found = re.findall(r"^ *# DEVIATION: .*(?:\n *# .*)*", path.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"\s*\n *# ", " ", comment).strip() for comment in found]


@pytest.mark.parametrize("project", PROJECTS)
def test_every_deviation_is_tagged_and_has_a_row_in_the_table(project: str) -> None:
    tagged = Counter(
        path.relative_to(ROOT / project).as_posix()
        for path in (ROOT / project).rglob("*.py")
        for _ in range(path.read_text(encoding="utf-8").count("DEVIATION:"))
    )
    tagged.update(
        {"ieg": ["../common/random_streams.py"], "moco_nonsem": ["../common/storage/image_files.py"]}.get(project, [])
    )
    table = rows(project, "Deviations")
    assert all(len(row) == 3 and all(row) for row in table)
    assert tagged == Counter(LINK.findall(row[1])[0] for row in table)


@pytest.mark.parametrize("project", PROJECTS)
def test_every_deviation_says_what_the_original_does_in_that_place(project: str) -> None:
    found = [comment for path in (ROOT / project).rglob("*.py") for comment in deviations(path)]
    assert len(found) > 5
    assert [comment for comment in found if not re.search(r"\bauthors\b|\brerun\b", comment)] == []


def test_the_readme_is_short_and_fits_a_small_screen() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 72
    assert len(re.sub(r"^\|.*$", "", text, flags=re.MULTILINE).split()) <= 900
