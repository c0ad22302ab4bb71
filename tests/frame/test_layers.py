"""The house has three floors and no way back up: who may import whom."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "common": set(),
    "data": {"common"},
    "preprocess": {"common", "data"},
    "ieg": {"common", "data"},
    "re_sln": {"common", "data"},
    "moco_nonsem": {"common", "data"},
    "reproduce": {"common", "data"},
    "benchmarks": {"common", "data", "ieg", "re_sln", "moco_nonsem"},
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """The top of every module that a file imports, within functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", FLOORS)
def test_imports_lead_down_only(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        others = imported(path) & {*FLOORS, "tests", "environments"} - {package}
        assert others <= FLOORS[package], f"{path.relative_to(ROOT)} imports {', '.join(others - FLOORS[package])}"


def test_every_package_has_its_floor() -> None:
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"} == set(FLOORS)


def rooms(package: str) -> dict[str, set[str]]:
    """Which sub-packages of a package each of them imports."""
    found: dict[str, set[str]] = {}
    for init in (ROOT / package).glob("*/__init__.py"):
        room, others = init.parent.name, set()
        for path in init.parent.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and node.module == package:
                    others |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
                    others.add((node.module or "").split(".")[1])
        found[room] = others - {room}
    return {room: others & set(found) for room, others in found.items()}


@pytest.mark.parametrize("package", ["common", "ieg", "re_sln", "moco_nonsem", "reproduce"])
def test_no_two_rooms_need_each_other(package: str) -> None:
    TopologicalSorter(rooms(package)).prepare()  # raises CycleError
