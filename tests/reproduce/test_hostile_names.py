"""Names that others chose (cells files, records, logs) are text everywhere: in the page, in CSV, LaTeX and Markdown."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from reproduce.cells import load_tables
from reproduce.cli import main
from tests.reproduce.conftest import cells_content
from tests.reproduce.many_runs import write_runs

NAMES = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='x", "=cmd|' /C calc'!A0", "+1+1",
    "@SUM(A1)", "-1-1", r"\input{/etc/passwd}", r"50 % of $x$ & #_{}^~ \\", "a | b", "[x](javascript:alert(1))", "`id`",
    "</textarea></style></script><svg onload=x>", "__proto__", "$style", "{0} %s",
)  # fmt: skip
HIDDEN = "\u202etxt.exe\u200b\x1b[31m"


class Skeleton(HTMLParser):
    """The elements of a page with the names of their attributes, and where a link leads."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[Any, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *(name for name, _ in attrs)))
        assert all(value and value.startswith(("#", "data:,")) for name, value in attrs if name in ("href", "src"))


def skeleton(path: Path) -> list[tuple[Any, ...]]:
    parser = Skeleton()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser.elements


def cells_file(path: Path, text: str) -> Path:
    content = cells_content()
    table = content["tables"]["small"]
    del table["published"], table["source"]
    table |= {"title": text, "columns_are": text, "taken": text}
    table["rows"]["a"]["label"] = text
    table["columns"] = {"0.5": {"dataset": "cifar10"}, text.replace("/", "") or "x": {"dataset": "digits"}}
    path.write_text(yaml.safe_dump(content))
    return path


def place_of(folder: Path, text: str, foreign: str) -> tuple[Path, Path]:
    """A cells file with this text as its names, and its finished runs; their records say `foreign` where they can."""
    folder.mkdir()
    cells = cells_file(folder / "cells.yaml", text)
    write_runs(load_tables(cells)["small"].cells, [0], folder / "runs", evaluations=3)
    for path in (folder / "runs").rglob("result.json"):
        result = json.loads(path.read_text())
        result |= {"device": foreign, "python": foreign, "libraries": {foreign: foreign}, "notes": {foreign: foreign}}
        result["metrics"][foreign] = 0.5
        path.write_text(json.dumps(result))
        metrics = path.with_name("metrics.jsonl")
        lines = [json.loads(line) | {foreign: 0.25} for line in metrics.read_text().splitlines()]
        metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
        (path.parents[1] / "log.txt").write_text(f"{foreign}\n" * 3)
    return cells, folder / "runs"


@pytest.mark.parametrize("name", NAMES)
def test_names_of_tables_and_records_are_text_in_every_form(name: str, tmp_path: Path) -> None:
    pages = []
    for place, (text, foreign) in {"hostile": (name, name + HIDDEN), "plain": ("plain", "words")}.items():
        cells, runs = place_of(tmp_path / place, text, foreign)
        out = tmp_path / place / "tables"
        assert main(["report", "--cells", str(cells), "--runs_dir", str(runs), "--out", str(out / "page.html")]) == 0
        assert main(["tables", "--cells", str(cells), "--runs_dir", str(runs), "--out", str(out)]) == 0
        pages.append(skeleton(out / "page.html"))
    assert pages[0] == pages[1]
    out = tmp_path / "hostile" / "tables"
    with open(out / "small.csv", newline="") as file:
        for line in csv.reader(file):
            assert not any(re.match(r"[=+@]|-\d+-", field) for field in line), line
    markdown = (out / "small.md").read_text()
    assert not re.search(r"(?<!\\)(<script|<img|<svg|\[x\]|`)", markdown)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("|")}) == 1
    latex = (out / "small.tex").read_text()
    assert r"\input" not in latex and not re.search(r"(?<!\\)[%#_]", latex)


@pytest.mark.parametrize("text", [HIDDEN, "two\nlines", "x" * 10**6, 3, None])
@pytest.mark.parametrize("place", ["title", "label"])
def test_a_text_that_would_break_a_page_is_refused(text: Any, place: str, tmp_path: Path, capsys: Any) -> None:
    content = cells_content()
    content["tables"]["small"] |= {"title": text} if place == "title" else {}
    content["tables"]["small"]["rows"]["a"] |= {"label": text} if place == "label" else {}
    (tmp_path / "cells.yaml").write_text(json.dumps(content))
    assert main(["plan", "--cells", str(tmp_path / "cells.yaml"), "--runs_dir", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cells.yaml") and "is not text of one line" in said and len(said) < 400


@pytest.mark.parametrize("name", ["../x", "", "a b", "x" * 101, ".hidden", "a/b", "ü", "-rf"])
def test_a_name_of_a_table_is_one_of_a_file(name: str, tmp_path: Path, capsys: Any) -> None:
    content = cells_content()
    content["tables"] = {name: content["tables"]["small"]}
    (tmp_path / "cells.yaml").write_text(json.dumps(content))
    assert main(["tables", "--cells", str(tmp_path / "cells.yaml"), "--runs_dir", str(tmp_path / "runs")]) == 2
    assert "its files have this name" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["../../x", "a/b", ".."])
def test_a_key_leads_to_no_other_folder(key: str, tmp_path: Path, capsys: Any) -> None:
    content = cells_content()
    content["tables"]["small"]["columns"] = {key: {}}
    (tmp_path / "cells.yaml").write_text(json.dumps(content))
    assert main(["plan", "--cells", str(tmp_path / "cells.yaml"), "--runs_dir", str(tmp_path)]) == 2
    assert "holds no '/'" in capsys.readouterr().err


def test_a_long_line_of_a_record_is_cut_in_the_page(tmp_path: Path, write_cells: Callable[..., Path]) -> None:
    cells, runs = place_of(tmp_path / "place", "plain", "x" * 10**6)
    assert main(["report", "--cells", str(cells), "--runs_dir", str(runs), "--out", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").stat().st_size < 200_000


@pytest.mark.parametrize("name", [r"$\foo{$", "$x_{$", "_hidden", "x" * 100, HIDDEN])
def test_a_name_is_no_formula_of_a_picture(name: str, tmp_path: Path) -> None:
    _, runs = place_of(tmp_path / "place", "plain", name)
    (run, *_) = sorted(path.parent for path in runs.rglob("result.json"))
    named = run.rename(run.with_name(f"run {name}"))
    assert main(["curves", str(named), str(named), "--out", str(tmp_path / "new" / "curves.png")]) == 0
    assert (tmp_path / "new" / "curves.png").stat().st_size > 10_000
