"""The published logs of re_sln give the published tables, in tables of their own."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from reproduce.cells import ROOT, load_tables
from reproduce.cells.files import read_yaml
from reproduce.cli import main
from reproduce.report.page import report_html
from reproduce.tables.all_tables import filled_tables
from reproduce.tables.imported import RE_SLN, agreement, imported_tables

ARCHIVE = Path(os.environ.get("SHARED_DATA") or ROOT.parent / "shared" / "data") / "re-sln-runs" / "runs.tar.xz"
HEADER = "cell,row,column,metric,n,mean,population_std,values,published,published_std,source,gap,gap_in_std,records\n"


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    """What the program of re_sln writes, of one cell."""
    folder = tmp_path / "imported" / "re_sln"
    folder.mkdir(parents=True)
    for stem in RE_SLN.values():
        (folder / f"{stem}.csv").write_text(HEADER)
    line = "cifar10-CE-asym,CE,asym,accuracy,2,75.37,0.07,75.44000148773193 75.30999779701233,{},0,0,exp a; exp_b\n"
    published = ("72.72,1.35,cited", "75.37,0.07,rerun")
    (folder / "cifar10.csv").write_text(HEADER + "".join(map(line.format, published)))
    (folder / "logs.txt").write_text("/published/runs\n")
    return tmp_path


def test_imported_numbers_stand_in_tables_of_their_own(runs_dir: Path) -> None:
    filled = imported_tables(runs_dir, load_tables())
    assert [table.name for table, _ in filled] == [f"{name}-imported" for name in RE_SLN]
    same, others = agreement(filled)
    assert (same, len(others)) == (1, 50)
    assert "sln-cifar10-ce-sym-imported: None ± None, published 54.15 ± 1.9" in others
    shown = filled_tables(None, None, None, runs_dir)
    assert [table.name for table, _ in shown][: len(load_tables())] == list(load_tables())
    ((table, runs),) = filled_tables(None, "sln-cifar10-imported", None, runs_dir)
    assert sum(run.state == "done" for run in runs) == 2
    assert "published run, exp a; its logs were read from /published/runs" in runs[1].why
    page = report_html([(table, runs)])
    assert "75.37 ± 0.07" in page
    assert "0 / 0" in page  # they are no cells of ours


def test_the_cells_files_are_read_once(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def noted(path: Path) -> Any:
        read.append(path.name)
        return read_yaml(path)

    monkeypatch.setattr("reproduce.cells.load.read_yaml", noted)
    filled_tables(None, None, None, runs_dir)
    assert [read.count(name) for name in ("sln.yaml", "demo.yaml", "evidence.yaml")] == [1, 1, 1]


def test_without_an_import_there_is_nothing(tmp_path: Path) -> None:
    assert imported_tables(tmp_path, load_tables()) == []


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "re_sln", str(tmp_path / "none"), "--runs_dir", str(tmp_path)]) == 2
    assert "is not a folder; name the folder with the published runs" in capsys.readouterr().err
    assert main(["import", "re_sln", str(tmp_path), "--runs_dir", str(tmp_path / "runs")]) == 2
    assert "re_sln could not read" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"needs the published logs, {ARCHIVE}, see SHARED_DATA")
def test_every_published_number_to_the_last_digit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(tmp_path, filter="data")
    assert main(["import", "re_sln", str(tmp_path / "runs"), "--runs_dir", str(tmp_path / "ours")]) == 0
    printed = capsys.readouterr()
    assert "51 of 51 published numbers to the last digit" in printed.err
    assert "| CE        | 54.15 ± 1.90 (n = 2: 56.05, 52.25)<br>cited 53.16 ± 1.64<br>rerun 54.15 ± 1.90" in printed.out
