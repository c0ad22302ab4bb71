"""The READMEs say what the cells files and the kept records say; records are kept without places of this machine."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import UsageError
from common.records.record_files import read_result
from common.records.result_schema import seal
from reproduce.cells import EVIDENCE, ROOT, load_tables
from reproduce.cli import main
from reproduce.gpu import keeping
from reproduce.gpu.plan import everything, flags_of
from reproduce.keep import RECORDS, keep
from reproduce.runs import DONE, distinct, runs_of
from reproduce.tables import pages as readme
from reproduce.verify import verify
from tests.reproduce import fake_program


def test_no_page_has_drifted() -> None:
    assert main(["readme", "--check"]) == 0, "run `python -m reproduce readme`"


def test_a_page_that_drifted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text(readme.README.read_text().replace("0 of 66", "66 of 66", 1))
    monkeypatch.setattr(readme, "README", page)
    assert main(["readme", "--check"]) == 1
    assert str(page) in capsys.readouterr().err
    assert main(["readme"]) == 0
    assert main(["readme", "--check"]) == 0


def test_every_command_of_every_cell_stands_in_the_page() -> None:
    for table in load_tables().values():
        lines = set((readme.TABLES / f"{table.name.partition('-')[0]}.md").read_text().splitlines())
        for cell in table.cells:
            for sample in cell.samples:
                folder = cell.folder(cell.seeds[0], Path("runs"), sample)
                commands = cell.commands(cell.seeds[0], folder, sample)
                assert " && ".join(" ".join(words) for words in commands) in lines


def test_every_table_has_its_target() -> None:
    printed = subprocess.run(
        ["make", "-n", *(f"reproduce-{name}" for name in load_tables())], cwd=ROOT, capture_output=True
    )
    assert printed.returncode == 0, printed.stderr
    assert re.findall(r"--table (\S+)", printed.stdout.decode()) == list(load_tables())


def test_marks_that_are_not_there_are_told() -> None:
    assert readme.replaced("a <!-- reproduce:x -->old<!-- /reproduce:x --> b", "x", "new") == (
        "a <!-- reproduce:x -->\nnew\n<!-- /reproduce:x --> b"
    )
    for text in ("", "<!-- /reproduce:x --><!-- reproduce:x -->", "<!-- reproduce:x -->"):
        with pytest.raises(UsageError, match="once each, in this order"):
            readme.replaced(text, "x", "new")


def test_the_evidence_is_what_its_cells_ask_for_and_no_cell_of_a_paper() -> None:
    runs = [run for table in load_tables(EVIDENCE).values() for run in runs_of(table.cells, None, RECORDS)]
    assert runs and {run.state for run in runs} == {DONE}
    on_gpus = [path.parent for path in keeping.KEPT.rglob("result.json")]
    assert len(list(RECORDS.rglob("result.json"))) == len(distinct(runs)) + len(on_gpus)
    planned = {item.name: item for item in everything()}
    for record in on_gpus:
        result, item = read_result(record), planned[f"{record.parent.name}/{record.name}"]
        assert set(flags_of(item, 300)) <= set(result["command"]) and not result["device"].startswith("CPU")
        assert result["finished"] and verify(record, None, records_only=True).problems == []
    assert not any(run.cell.references for run in runs)
    papers = [run for table in load_tables().values() for run in runs_of(table.cells, None, RECORDS)]
    assert not any(run.state == DONE for run in papers)
    for run in runs:
        assert run.record_folder
        assert verify(run.record_folder, None, records_only=True).problems == []


def test_a_record_is_kept_without_places_and_still_stands(write_cells: Callable[..., Path], tmp_path: Path) -> None:
    table = load_tables(write_cells())["small"]
    cell, runs_dir = table.cells[1], tmp_path / "some where"
    folder = cell.folder(0, runs_dir)
    assert fake_program.main(cell.command(0, folder)[3:]) == 0
    (kept,) = keep(runs_of(table.cells, (0,), runs_dir), tmp_path / "kept")
    text = (kept / "result.json").read_text()
    assert str(tmp_path) not in text and "--checkpoint_path=$RUNS_DIR" in text
    result = read_result(kept)
    assert result["seal"] == seal(result)
    assert sorted(path.name for path in kept.iterdir()) == ["config.yml", "metrics.jsonl", "result.json"]
    assert [run.state for run in runs_of(table.cells, (0,), tmp_path / "kept")] == ["missing", DONE]
    path = next(runs_dir.rglob("result.json"))
    path.write_text(json.dumps({**read_result(path.parent), "wall_seconds": 1.0}))
    with pytest.raises(UsageError, match="was changed after it was written"):
        keep(runs_of(table.cells, (0,), runs_dir), tmp_path / "kept")


def test_commands_are_those_of_a_shell() -> None:
    for line in "\n".join(page.read_text() for page in readme.TABLES.glob("*.md")).splitlines():
        if line.startswith("python -m"):
            assert all(part.split()[:2] == ["python", "-m"] for part in line.split(" && "))
            assert shlex.split(line) == line.split()
