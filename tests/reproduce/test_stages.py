"""Runs of several programs, one after the other: a chain, whose last stage several cells read their number from."""

from __future__ import annotations

import copy
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import UsageError
from common.records.record_files import read_metrics, read_result
from reproduce import plan
from reproduce.cells import ROOT, Table, load_tables
from reproduce.cli import main
from reproduce.demo_cells import prepare
from reproduce.engines.commands import exact_commands
from reproduce.runs import DONE, FOREIGN, INTERRUPTED, MISSING, distinct, progress, runs_of, state_of
from reproduce.tables import paper_tables
from tests.reproduce.conftest import cells_content
from tests.reproduce.fake_program import accuracy

FAKE = ["python", "-m", "tests.reproduce.fake_program"]


def content(**first: Any) -> dict[str, Any]:
    """A table of two columns, both read from one chain of three stages; `first`: flags of the first stage."""
    found = cells_content()
    found["programs"]["chain"] = {
        "environment": "tensorflow",
        "sub_project": "ieg",
        "folder_flag": "checkpoint_path",
        "seeds": [0, 1],
        "stages": {
            "train": {"command": FAKE, "steps": 4},
            "probe": {"command": FAKE, "arguments": ["{train}/cifar10/a/result.json"], "steps": 2},
            "score": {"command": FAKE, "arguments": ["{probe}"], "flags": {"max_iteration": 1}, "steps": 0},
        },
    }
    shared = {"dataset": "cifar10"}
    found["tables"]["small"] |= {
        "program": "chain",
        "metric": "{column}",
        "published": {},
        "flags": {"train": shared | first, "probe": {**shared, "max_iteration": 2}, "score": shared},
        "columns": {"accuracy": {}, "other": {}},
        "rows": {"a": {"label": "A", "cost": "small", "flags": {"train": {"method": "a"}}}},
        "shared_runs": {"accuracy": "small-{row}", "other": "small-{row}"},
    }
    found["tables"]["small"].pop("source")
    return found


def write(folder: Path, found: dict[str, Any]) -> Path:
    path = folder / "cells.yaml"
    path.write_text(yaml.safe_dump(found, sort_keys=False))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return load_tables(write(tmp_path, content()))["small"]


def words(folder: Path, *more: str) -> list[str]:
    runs = ["--runs_dir", str(folder / "runs"), "--table", "small", "--seeds", "0"]
    return ["run", "--cells", str(folder / "cells.yaml"), *runs, "--force", *more]


def test_the_commands_of_a_chain_name_the_folders_of_the_stages_before(tmp_path: Path) -> None:
    found = content(ratio=[16, 72], mlp=True)
    found["programs"]["chain"]["stages"]["train"]["arguments"] = ["{data_dir}/images"]
    cell = load_tables(write(tmp_path, found))["small"].cells[0]
    assert [" ".join(command) for command in cell.commands(7, Path("x"), data_dir=Path("/d"))] == [
        "python -m tests.reproduce.fake_program /d/images --dataset=cifar10 --ratio 16 72 --mlp --method=a"
        " --checkpoint_path=x/train --seed=7",
        "python -m tests.reproduce.fake_program x/train/cifar10/a/result.json --dataset=cifar10 --max_iteration=2"
        " --checkpoint_path=x/probe --seed=7",
        "python -m tests.reproduce.fake_program x/probe --max_iteration=1 --dataset=cifar10 --checkpoint_path=x/score"
        " --seed=7",
    ]
    assert " data/cache/images " in " ".join(cell.commands(7, Path())[0])


def test_both_columns_read_their_number_from_one_run(table: Table, tmp_path: Path) -> None:
    runs = runs_of(table.cells, (0,), tmp_path / "runs")
    assert len(runs) == 2 and len(distinct(runs)) == 1
    assert {run.name for run in runs} == {"small-a seed 0"}
    assert table.cells[0].steps == 6


def test_a_chain_is_run_and_its_last_stage_counts(table: Table, tmp_path: Path) -> None:
    assert main(words(tmp_path)) == 0
    first, second = runs_of(table.cells, (0,), tmp_path / "runs")
    assert first.state == DONE and first.stages_done == 3
    assert first.record_folder == first.folder / "score" / "cifar10" / "none"
    assert second.state == FOREIGN and "no metric other" in second.why
    assert progress(first) == 6
    path = first.record_folder / "result.json"
    path.write_text(json.dumps({**read_result(path.parent), "metrics": {"accuracy": 0.25, "other": 0.75}}))
    text = paper_tables.filled(table, runs_of(table.cells, (0,), tmp_path / "runs")).markdown()
    assert "| A           | 25.0 (n = 1)<br>published - | 75.0 (n = 1)<br>published - |" in text
    log = (first.folder / "log.txt").read_text().splitlines()
    assert [line.partition("checkpoint_path=")[2].split("/")[-1].split()[0] for line in log] == [
        "train",
        "probe",
        "score",
    ]


def one_column(tmp_path: Path, **first: Any) -> Table:
    found = content(**first)
    del found["tables"]["small"]["columns"]["other"]
    return load_tables(write(tmp_path, found))["small"]


def test_only_the_stages_that_are_missing_are_done(tmp_path: Path) -> None:
    (cell,) = one_column(tmp_path).cells
    runs = tmp_path / "runs"
    assert state_of(cell, 0, runs).state == MISSING
    assert main(words(tmp_path)) == 0
    folder = cell.folder(0, runs)
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json") if "score" not in path.parts}
    shutil.rmtree(folder / "score")
    run = state_of(cell, 0, runs)
    assert (run.state, run.stages_done, progress(run)) == (INTERRUPTED, 2, 6)
    assert main(words(tmp_path)) == 0
    assert len((folder / "log.txt").read_text().splitlines()) == 4
    assert len(kept) == 2 and all(path.stat().st_mtime_ns == time for path, time in kept.items())
    result = read_result(state_of(cell, 0, runs).record_folder or Path())
    assert result["metrics"]["accuracy"] == accuracy("none", 0, 1)


def test_a_stage_that_failed_ends_the_run_and_the_next_is_not_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = content()
    found["tables"]["small"]["flags"]["probe"]["fail_seed"] = 0
    (cell, _) = load_tables(write(tmp_path, found))["small"].cells
    assert main(words(tmp_path)) == 1
    error = capsys.readouterr().err
    assert "exit code 3" in error and "this seed is meant to fail" in error
    run = state_of(cell, 0, tmp_path / "runs")
    assert (run.state, run.stages_done) == (INTERRUPTED, 1)
    assert not (run.folder / "score").exists()


@pytest.mark.parametrize(("gone", "later"), [("train", "probe"), ("probe", "score")])
def test_a_stage_whose_beginning_is_gone_never_counts(tmp_path: Path, gone: str, later: str) -> None:
    (cell,) = one_column(tmp_path).cells
    assert main(words(tmp_path)) == 0
    shutil.rmtree(cell.folder(0, tmp_path / "runs") / gone)
    run = state_of(cell, 0, tmp_path / "runs")
    assert run.state == FOREIGN
    assert f"{later} is there, but {gone}, which it starts from, is not done" in run.why


def test_a_chain_that_began_with_other_settings_never_counts(tmp_path: Path) -> None:
    one_column(tmp_path)
    assert main(words(tmp_path)) == 0
    (cell,) = one_column(tmp_path, network_name="b").cells
    run = state_of(cell, 0, tmp_path / "runs")
    assert run.state == FOREIGN
    assert "--network_name left out, the cell asks for b" in run.why


def test_an_interrupted_chain_goes_on(tmp_path: Path) -> None:
    table = one_column(tmp_path, max_iteration=4, gate=str(gate := tmp_path / "gate"))
    (cell,) = table.cells
    process = subprocess.Popen([sys.executable, "-m", "reproduce", *words(tmp_path)], stderr=subprocess.PIPE, cwd=ROOT)
    deadline = time.monotonic() + 30
    while not list(tmp_path.rglob("metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    run = state_of(cell, 0, tmp_path / "runs")
    assert (run.state, run.stages_done) == (INTERRUPTED, 0)
    assert "1 interrupted" in plan.plan_text(table, [run])
    gate.touch()
    assert main(words(tmp_path)) == 0
    assert [line["step"] for line in read_metrics(run.folder / "train" / "cifar10" / "a")] == [1, 2, 3, 4]
    assert state_of(cell, 0, tmp_path / "runs").state == DONE


def test_a_dry_run_prints_the_chain_on_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cell,) = one_column(tmp_path).cells
    assert main(words(tmp_path, "--dry_run", "--data_dir", "/some where")) == 0
    (line,) = capsys.readouterr().out.splitlines()
    parts = line.split(" && ")
    assert len(parts) == 3 and all(part.startswith("DATA_DIR='/some where' ") for part in parts)
    run = state_of(cell, 0, tmp_path / "runs")
    assert [parts[k].endswith(" ".join(exact_commands(run)[k][3:])) for k in range(3)] == [True] * 3


def test_the_demo_gives_other_settings_another_folder_where_cells_share_a_run(tmp_path: Path) -> None:
    names = []
    for value in ("a", "b"):
        table = prepare(load_tables(write(tmp_path, content(network_name=value)))["small"])
        names.append({cell.run_name() for cell in table.cells})
    assert [len(found) for found in names] == [1, 1]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda chain: chain["stages"]["probe"].update(arguments=["{trian}"]), "trian"),
        (lambda chain: chain["stages"]["train"].update(arguments=["{probe}"]), "probe"),
        (lambda chain: chain["stages"].update(other=chain["stages"].pop("score")), "score.*stages are train, probe"),
        (lambda chain: chain["stages"]["score"].pop("command"), "command"),
    ],
)
def test_a_wrong_chain_is_one_sentence(tmp_path: Path, change: Any, message: str) -> None:
    found = copy.deepcopy(content())
    change(found["programs"]["chain"])
    with pytest.raises(UsageError, match=message):
        load_tables(write(tmp_path, found))
