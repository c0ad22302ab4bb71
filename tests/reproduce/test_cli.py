from __future__ import annotations

import dataclasses
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from common.paths import data_dir, runs_dir
from common.records.record_files import read_metrics, read_result
from reproduce.cells import ROOT, load_tables
from reproduce.cli import main
from reproduce.engines.commands import environment_of
from reproduce.engines.local import LocalEngine
from reproduce.runs import DONE, INTERRUPTED, Run, runs_of
from tests.common.test_children import alive, wait_for

WriteCells = Callable[..., Path]


def arguments(command: str, cells: Path, *more: str) -> list[str]:
    return [command, "--cells", str(cells), "--runs_dir", str(cells.parent / "a place" / "runs"), *more]


def run(cells: Path, *more: str) -> int:
    return main(arguments("run", cells, "--table", "small", "--force", *more))


def states(cells: Path) -> list[str]:
    return [
        found.state for found in runs_of(load_tables(cells)["small"].cells, None, cells.parent / "a place" / "runs")
    ]


def test_dry_run_prints_commands_for_a_shell(write_cells: WriteCells, capsys: pytest.CaptureFixture[str]) -> None:
    cells = write_cells()
    assert main(arguments("run", cells, "--table=small", "--dry-run", "--seeds", "7,8", "--data-dir", "/d d")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    words = shlex.split(lines[-1])
    assert words[0] == "DATA_DIR=/d d"
    assert words[2:4] == ["-m", "tests.reproduce.fake_program"]
    folder = cells.parent / "a place" / "runs" / "ieg" / "small-a-0.8" / "seed_8"
    assert words[4:] == ["--dataset=cifar10_uniform_0.8", "--method=ieg", f"--checkpoint_path={folder}", "--seed=8"]
    assert not (cells.parent / "a place").exists()
    subprocess.run(lines[-1], shell=True, check=True, cwd=ROOT)
    assert len(list(folder.rglob("result.json"))) == 1


@pytest.mark.parametrize("given", ["~/runs", "below"])
def test_runner_and_programs_read_the_same_places(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A home folder that no shell has written out, and a folder relative to the current one."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"HOME": str(tmp_path), "RUNS_DIR": given, "DATA_DIR": given}.items():
        monkeypatch.setenv(name, value)
    place = tmp_path / given.removeprefix("~/")
    assert runs_dir() == data_dir() == place
    for flags in ([], [f"--runs_dir={given}", f"--data_dir={given}"]):
        assert main(["run", "--table=ieg-cifar100", "--dry_run", "--seeds=1", *flags]) == 0
        line = capsys.readouterr().out.splitlines()[-1]
        assert line.startswith(f"DATA_DIR={place} ") and f"--checkpoint_path={place}/ieg/" in line


def test_a_home_folder_of_nobody_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNS_DIR", "~nobody-of-that-name/runs")
    assert main(["plan"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_default_place_is_short_and_relative_to_the_repository(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--table", "ieg-cifar100", "--dry_run", "--seeds=12345"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert " -m ieg.main --dataset=cifar100_uniform_0.8 --network_name=wrn28-10 " in line
    assert "--checkpoint_path=runs/ieg/ieg-cifar100-l2r-0.8/seed_12345" in line


def test_without_a_gpu_it_says_the_cost_and_stops(write_cells: WriteCells, capsys: pytest.CaptureFixture[str]) -> None:
    cells = write_cells()
    assert main(arguments("run", cells, "--table", "small")) == 2
    error = capsys.readouterr().err
    assert "12 GPU-hours (estimated)" in error
    assert "days" in error
    assert "FORCE=1" in error
    assert states(cells) == ["missing"] * 6


def test_with_a_gpu_it_starts(write_cells: WriteCells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reproduce.commands.run.gpus", lambda: ["0", "1"])
    cells = write_cells()
    assert main(arguments("run", cells, "--table", "small", "--seeds", "0")) == 0


def test_run_does_what_is_missing_and_nothing_twice(
    write_cells: WriteCells, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = write_cells()
    assert run(cells, "--jobs", "3") == 0
    assert states(cells) == [DONE] * 6
    assert "6 runs to do (0 of 6 already done or skipped), 3 at a time" in capsys.readouterr().err
    before = {path: path.stat().st_mtime_ns for path in cells.parent.rglob("result.json")}
    assert run(cells) == 0
    assert {path: path.stat().st_mtime_ns for path in cells.parent.rglob("result.json")} == before


def test_a_failing_run_shows_its_end_and_does_not_stop_the_others(
    write_cells: WriteCells, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = write_cells(fail_seed=1)
    assert run(cells, "--jobs", "2") == 1
    assert states(cells) == [DONE, "missing", DONE] * 2
    error = capsys.readouterr().err
    assert "FAILED: small-a-0.8 seed 1, exit code 3" in error
    assert "    error: this seed is meant to fail" in error


def test_ctrl_c_stops_the_children_and_the_same_command_goes_on(write_cells: WriteCells, tmp_path: Path) -> None:
    cells = write_cells(max_iteration=20, gate=str(gate := tmp_path / "gate"))
    words = arguments("run", cells, "--table", "small", "--force", "--seeds", "0", "--jobs", "2")
    process = subprocess.Popen([sys.executable, "-m", "reproduce", *words], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 30
    while len(list(cells.parent.rglob("metrics.jsonl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command to resume" in error
    found = runs_of(load_tables(cells)["small"].cells, (0,), cells.parent / "a place" / "runs")
    assert [one.state for one in found] == [INTERRUPTED] * 2
    plan = subprocess.run(
        [sys.executable, "-m", "reproduce", *arguments("plan", cells)], capture_output=True, text=True
    )
    assert "2 interrupted, 4 missing" in plan.stdout.replace("4 missing, 2 interrupted", "2 interrupted, 4 missing")
    gate.touch()
    assert main(words) == 0
    for record in (path.parent for path in cells.parent.rglob("result.json")):
        assert [line["step"] for line in read_metrics(record)] == list(range(1, 21))
        assert read_result(record)["finished"] is True


def test_a_run_that_is_under_way_is_not_started_again(
    write_cells: WriteCells, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    cells = write_cells(max_iteration=30, gate=str(tmp_path / "gate"))
    words = arguments("run", cells, "--table", "small", "--force", "--seeds", "0", "--jobs", "2")
    with subprocess.Popen([sys.executable, "-m", "reproduce", *words], stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        deadline = time.monotonic() + 30
        while len(list(cells.parent.rglob("metrics.jsonl"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert main(arguments("plan", cells, "--seeds", "0")) == 0
        assert "2 running" in capsys.readouterr().out
        assert main(words) == 0
        process.send_signal(signal.SIGINT)
    assert len((cells.parent / "a place/runs/ieg/small-a-0/seed_0/log.txt").read_text().splitlines()) == 1


def test_children_get_their_share_of_the_machine() -> None:
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    environment = environment_of(share, Path("/d"), "4,7")
    assert environment["CUDA_VISIBLE_DEVICES"] == "4,7"
    assert environment["DATA_DIR"] == "/d"
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NUMBA_NUM_THREADS")
    assert {environment[name] for name in names} == {str(share)}
    assert "CUDA_VISIBLE_DEVICES" not in environment_of(1, None) or "CUDA_VISIBLE_DEVICES" in os.environ


@pytest.mark.parametrize(
    ("gpus", "jobs", "running", "needed", "expected"),
    [
        ("", 2, [], 1, []),
        ("01", 2, [], 1, ["0"]),
        ("01", 2, ["0"], 1, ["1"]),
        ("01", 2, ["0"], 2, None),
        ("01", 2, ["0", "1"], 1, None),
        ("01", 4, ["0", "1", "0"], 1, ["1"]),
        ("0123", 4, [], 8, ["0", "1", "2", "3"]),
        ("01", 2, ["0"], 0, []),
    ],
)
def test_a_run_gets_the_gpus_that_its_cell_needs_or_waits(
    write_cells: WriteCells, gpus: str, jobs: int, running: list[str], needed: int, expected: list[str] | None
) -> None:
    cell = dataclasses.replace(load_tables(write_cells())["small"].cells[0], gpus=needed)
    run = Run(cell, 0, "", Path(), "missing")
    engine = LocalEngine(jobs, list(gpus))
    engine._running = {str(place): (run, [gpu]) for place, gpu in enumerate(running)}
    assert engine._gpus_for(run) == expected


def test_a_run_that_waits_for_many_gpus_stops_no_other(write_cells: WriteCells) -> None:
    cell = load_tables(write_cells())["small"].cells[0]
    many, one = (Run(dataclasses.replace(cell, gpus=gpus), 0, "", Path(), "missing") for gpus in (2, 1))
    engine = LocalEngine(2, ["0", "1"])
    engine._running = {"another": (one, ["0"])}
    engine._waiting = [many, one]
    assert engine._next() == (one, ["1"])
    engine._running.clear()
    assert engine._next() == (many, ["0", "1"])
    assert engine._next() is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_runner_that_is_killed_takes_its_programs_along(write_cells: WriteCells, number: int) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("programs inherit that this signal is ignored, as nohup asks")
    cells = write_cells(max_iteration=100, step_seconds=0.1)
    words = arguments("run", cells, "--table", "small", "--force", "--seeds", "0", "--jobs", "2")
    process = subprocess.Popen([sys.executable, "-m", "reproduce", *words], stderr=subprocess.DEVNULL, cwd=ROOT)
    assert wait_for(lambda: len(list(cells.parent.rglob("metrics.jsonl"))) == 2)
    programs = [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    for place in Path(f"/proc/{process.pid}/task").iterdir():
        programs += [int(word) for word in (place / "children").read_text().split()]
    assert len(set(programs)) == 2 and all(map(alive, programs))
    process.send_signal(number)
    process.wait()
    assert wait_for(lambda: not any(map(alive, programs)))
    found = runs_of(load_tables(cells)["small"].cells, (0,), cells.parent / "a place" / "runs")
    assert [one.state for one in found] == [INTERRUPTED] * 2


def test_fewer_gpus_than_a_cell_needs_are_refused(
    write_cells: WriteCells, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = write_cells()
    cells.write_text(cells.read_text().replace("gpus: 1", "gpus: 4"))
    monkeypatch.setattr("reproduce.commands.run.gpus", lambda: ["0", "1"])
    words = arguments("run", cells, "--table", "small")
    assert main(words) == 2
    assert "needs 4 GPUs, this machine has 2" in capsys.readouterr().err


def test_a_program_that_was_killed_goes_on(
    write_cells: WriteCells, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = write_cells(max_iteration=12, gate=str(gate := tmp_path / "gate"))

    def kill() -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for path in cells.parent.rglob("metrics.jsonl"):
                process = next((one for one in children() if str(path.parents[2]).encode() in one.read_bytes()), None)
                if process and path.stat().st_size:
                    os.kill(int(process.parent.name), signal.SIGKILL)
                    gate.touch()
                    return
            time.sleep(0.05)

    def children() -> list[Path]:
        return [path for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]

    thread = threading.Thread(target=kill)
    thread.start()
    assert run(cells, "--seeds", "0", "--jobs", "1") == 0
    thread.join()
    assert "by signal 9; restarting it" in capsys.readouterr().err
    assert states(cells).count(DONE) == 2
    for path in cells.parent.rglob("result.json"):
        assert [line["step"] for line in read_metrics(path.parent)] == list(range(1, 13))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--table", "nope"], "there is no table 'nope'"),
        (["run", "--table", "ieg-cifar10", "--engine", "slurm"], "invalid choice: 'slurm'"),
        (["run", "--table", "ieg-cifar10", "--engine", "ray", "--worker_dir", "x"], "must be an absolute path"),
        (["run", "--table", "ieg-cifar10", "--seeds", "1,x"], "seeds must be distinct non-negative integers"),
        (["run", "--table", "ieg-cifar10", "--seeds", "1,1"], "seeds must be distinct non-negative integers"),
        (["run", "--table", "ieg-cifar10", "--jobs", "0"], "must be a positive integer"),
        (["run"], "--table"),
        (["fly"], "fly"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--runs_dir", "--out"])
def test_a_folder_that_cannot_be_is_refused_before_a_run(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reproduce.commands.run.LocalEngine.run", lambda *_: pytest.fail("a run was started"))
    (tmp_path / "file").touch()
    places = {"--runs_dir": tmp_path / "runs", "--out": tmp_path / "out"} | {flag: tmp_path / "file" / "below"}
    assert main(["demo", *(f"{name}={path}" for name, path in places.items())]) == 2
    assert f"{tmp_path / 'file'}: Not a directory" in capsys.readouterr().err


def test_tables_of_nothing_say_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tables", "--table", "ieg-cifar100", "--runs_dir", str(tmp_path)]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert text.count("not run") == 20
    assert "paper 75.5 ± 0.2" in text
    assert sorted(os.listdir(tmp_path / "tables")) == [f"ieg-cifar100.{kind}" for kind in ("csv", "md", "png", "tex")]


def test_sigterm_stops_the_children_as_well(write_cells: WriteCells) -> None:
    cells = write_cells(max_iteration=100, step_seconds=0.1)
    words = arguments("run", cells, "--table", "small", "--force", "--seeds", "0", "--jobs", "1")
    process = subprocess.Popen([sys.executable, "-m", "reproduce", *words], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(cells.parent.rglob("metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping 1 runs; each saves its state first" in error
    found = runs_of(load_tables(cells)["small"].cells, (0,), cells.parent / "a place" / "runs")
    assert [one.state for one in found] == [INTERRUPTED, "missing"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--help"], "Plan and run the experiments behind the papers' tables, and build the tables."),
        (["run", "--help"], "times a killed run is restarted (default 2)"),
        (["verify", "--help"], "largest allowed difference, as a fraction of 1 (default 0.0005)"),
    ],
)
def test_help_says_what_is_done(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    assert text in " ".join(capsys.readouterr().out.split())
