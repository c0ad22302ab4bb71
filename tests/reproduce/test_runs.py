from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from common.records.record_files import read_result
from reproduce.cells import Cell, load_tables
from reproduce.runs import (
    DONE,
    FOREIGN,
    INTERRUPTED,
    MISSING,
    RUNNING,
    Run,
    progress,
    record_folders,
    runs_of,
    state_of,
)
from reproduce.tables import paper_tables
from reproduce.tables.paper_tables import Standing, standings
from tests.reproduce import fake_program


@pytest.fixture
def cell(write_cells: Callable[..., Path]) -> Cell:
    return load_tables(write_cells(max_iteration=4))["small"].cells[1]


def do(cell: Cell, seed: int, runs_dir: Path, *extra: str) -> Path:
    """Run the fake program as the cell says; returns the folder of its record."""
    words = cell.command(seed, cell.folder(seed, runs_dir))[3:]
    assert fake_program.main([*words, *extra]) == 0
    (result,) = cell.folder(seed, runs_dir).rglob("result.json")
    return result.parent


def edit(folder: Path, **fields: object) -> None:
    path = folder / "result.json"
    path.write_text(json.dumps({**read_result(folder), **fields}))


def test_missing_then_done(cell: Cell, tmp_path: Path) -> None:
    assert state_of(cell, 0, tmp_path).state == MISSING
    record = do(cell, 0, tmp_path)
    run = state_of(cell, 0, tmp_path)
    assert run.state == DONE
    assert run.record_folder == record
    assert progress(run) == 4
    assert state_of(cell, 1, tmp_path).state == MISSING


def test_unfinished_is_interrupted(cell: Cell, tmp_path: Path) -> None:
    edit(do(cell, 0, tmp_path), finished=False)
    assert state_of(cell, 0, tmp_path).state == INTERRUPTED


def test_a_run_that_another_process_holds_is_running(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = do(cell, 0, tmp_path)
    monkeypatch.setattr("reproduce.runs.is_running", lambda folder: folder == record)
    assert state_of(cell, 0, tmp_path).state == RUNNING


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"seed": 5}, "its seed is 5, not 0"),
        ({"world_size": 4}, "it ran on 4 device(s), the cell asks for 1: another batch in all"),
        ({"dataset": {"name": "cifar10-jpeg", "version": "1", "fingerprint": "f"}}, "cifar10-jpeg, not cifar10"),
        ({"dataset": {"name": "digits", "version": "1", "fingerprint": "f"}}, "digits, not cifar10"),
        ({"metrics": {"other": 1.0}}, "no metric accuracy"),
        ({"schema_version": 7}, "schema_version = 7"),
    ],
)
def test_what_is_not_the_cells_run_never_counts(
    cell: Cell, tmp_path: Path, fields: dict[str, object], why: str
) -> None:
    edit_path = do(cell, 0, tmp_path)
    path = edit_path / "result.json"
    path.write_text(json.dumps({**read_result(edit_path), **fields}))
    run = state_of(cell, 0, tmp_path)
    assert run.state == FOREIGN
    assert why in run.why
    table = load_tables(tmp_path / "cells.yaml")["small"]
    assert "n = 1" not in paper_tables.filled(table, runs_of(table.cells, None, tmp_path)).markdown()


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["--dataset=cifar10_uniform_0.8", "--max_iteration=2"], "--max_iteration 2, the cell asks for 4"),
        (["--dataset=cifar10_uniform_0.4", "--max_iteration=4"], "--dataset cifar10_uniform_0.4"),
        (["--dataset=cifar10_uniform_0.8", "--max_iteration=4", "--extra"], "--extra true, the cell asks for none"),
        (["--dataset=cifar10_uniform_0.8"], "--max_iteration left out"),
        (["--dataset=cifar10_uniform_0.8", "--max_iteration=4", "--max_iteration=2"], "--max_iteration 2, the cell"),
    ],
)
def test_a_shortened_or_changed_command_never_counts(cell: Cell, tmp_path: Path, command: list[str], why: str) -> None:
    edit(do(cell, 0, tmp_path), command=["python", "-m", "x", "--method=ieg", "--seed=0", *command])
    run = state_of(cell, 0, tmp_path)
    assert run.state == FOREIGN
    assert why in run.why


def test_a_run_on_fewer_devices_than_the_cell_asks_for_never_counts(cell: Cell, tmp_path: Path) -> None:
    do(cell, 0, tmp_path)
    run = state_of(replace(cell, gpus=2), 0, tmp_path)
    assert (run.state, "it ran on 1 device(s), the cell asks for 2" in run.why) == (FOREIGN, True)


def test_the_form_of_flags_and_their_places_do_not_matter(cell: Cell, tmp_path: Path) -> None:
    words = ["--max-iteration", "4.0", "--dataset", "cifar10_uniform_0.8", "--method=IEG", "--seed", "0"]
    edit(do(cell, 0, tmp_path), command=["ieg/main.py", *words, "--dataset_dir=/elsewhere", "--run_dir", "x"])
    assert state_of(cell, 0, tmp_path).state == DONE


def test_a_paper_table_byte_for_byte(cell: Cell, tmp_path: Path) -> None:
    table = load_tables(tmp_path / "cells.yaml")["small"]
    for seed in (0, 1):
        edit(do(cell, seed, tmp_path), metrics={"accuracy": 0.935 + seed / 100})
    runs = runs_of(table.cells, None, tmp_path)
    assert paper_tables.filled(table, runs).markdown() == (
        "### A small table\n\n"
        "| noise ratio           | 0                     | 0.8                                                "
        "                                      |\n"
        "|-----------------------|-----------------------|----------------------------------------------------"
        "--------------------------------------|\n"
        "| IEG wrn28-10 10/class | not run<br>paper 96.8 | 94.0 ± 0.7 (n = 2: 93.5, 94.5)<br>paper 93.7 ± 0.5"
        "<br>gap to paper +0.3 points, +0.6 std |\n\n"
        "Ours: mean ± sample standard deviation (n - 1) over seeds; accuracy at the last cycle end, "
        "never the best on test.\n"
        "paper: read in the paper's own table.\n"
        "Gap: ours minus published, in points, and in published standard deviations; in ours where none was published"
        " or it is 0.\n"
    )
    filled = paper_tables.filled(table, runs)
    lines = filled.csv().splitlines()
    assert lines[1] == "small-a-0,IEG wrn28-10 10/class,0,accuracy,0,,,,96.8,,paper,,,"
    assert lines[2].startswith("small-a-0.8,IEG wrn28-10 10/class,0.8,accuracy,2,94.0,0.7071")
    assert ",93.7,0.5,paper,0.29" in lines[2]
    assert "\\shortstack[l]{94.0 $\\pm$ 0.7 (n = 2: 93.5, 94.5) \\\\ paper" in filled.latex()
    first = filled.write(tmp_path / "a")
    assert filled.write(tmp_path / "b") == first
    for suffix in ("md", "csv", "tex", "png"):
        assert (tmp_path / "a" / f"small.{suffix}").read_bytes() == (tmp_path / "b" / f"small.{suffix}").read_bytes()


def test_a_table_is_written_from_one_look_at_its_runs(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = load_tables(tmp_path / "cells.yaml")["small"]
    looks: list[int] = []

    def counted(cells: tuple[Cell, ...], runs: list[Run]) -> list[Standing]:
        looks.append(len(runs))
        return standings(cells, runs)

    monkeypatch.setattr(paper_tables, "standings", counted)
    paper_tables.filled(table, runs_of(table.cells, None, tmp_path)).write(tmp_path / "out")
    assert looks == [6]


def test_what_lies_in_a_file_managers_bin_is_no_run(cell: Cell, tmp_path: Path) -> None:
    record = do(cell, 0, tmp_path)
    deleted = cell.folder(0, tmp_path) / ".Trash-1000" / "files" / record.name
    deleted.parent.mkdir(parents=True)
    record.rename(deleted)
    assert list(record_folders(cell.folder(0, tmp_path))) == []
    assert state_of(cell, 0, tmp_path).state == MISSING
    deleted.rename(record)
    assert list(record_folders(cell.folder(0, tmp_path))) == [record]
