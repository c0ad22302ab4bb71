"""What a worker does for one run: without a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from common.records.record_files import read_metrics
from reproduce.cells import ROOT, load_tables
from reproduce.engines import ray_worker
from reproduce.engines.ray_worker import pack, unpack, work
from reproduce.runs import DONE, INTERRUPTED, Run, progress, runs_of


def go_on(_steps: int) -> bool:
    return False


@pytest.fixture
def run_of(write_cells: Callable[..., Path]) -> Callable[..., Run]:
    def find(**flags: object) -> Run:
        cells = write_cells(**flags)
        return runs_of(load_tables(cells)["small"].cells, (0,), cells.parent / "runs")[0]

    return find


def state(run: Run, runs_dir: Path) -> str:
    (found,) = [one for one in runs_of((run.cell,), (0,), runs_dir)]
    return found.state


def test_a_run_is_done_in_the_workers_folder_and_brought_back(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run, steps = run_of(), list[int]()

    def report(done: int) -> bool:
        steps.append(done)
        return False

    outcome = work(run, tmp_path / "worker", None, 1, report)
    assert (outcome.code, outcome.log) == (0, "")
    assert steps and not run.folder.exists()
    assert outcome.folder is not None
    unpack(outcome.folder, run.folder)
    assert state(run, tmp_path / "runs") == DONE
    again = work(run, tmp_path / "worker", None, 1, report)
    assert again.code == 0 and again.folder is not None
    assert (run.folder / "log.txt").read_text().count("$ ") == 1


def test_where_the_folder_is_shared_nothing_is_brought_back(run_of: Callable[..., Run], tmp_path: Path) -> None:
    outcome = work(run_of(), tmp_path / "runs", None, 1, go_on)
    assert (outcome.code, outcome.folder) == (0, None)


def test_a_run_that_is_told_to_stop_saves_its_state_and_goes_on_elsewhere(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    run = run_of(max_iteration=20, step_seconds=0.1)
    stopped = work(run, tmp_path / "first", None, 1, lambda steps: steps > 2)
    assert stopped.code == 130 and stopped.folder is not None
    unpack(stopped.folder, run.folder)
    assert state(run, tmp_path / "runs") == INTERRUPTED
    outcome = work(run, tmp_path / "second", None, 1, go_on, pack(run.folder))
    assert outcome.code == 0 and outcome.folder is not None
    unpack(outcome.folder, run.folder)
    (path,) = run.folder.rglob("metrics.jsonl")
    assert [line["step"] for line in read_metrics(path.parent)] == list(range(1, 21))


def test_a_worker_that_had_the_run_before_takes_it_where_it_is_now(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of(max_iteration=30, step_seconds=0.05)
    first = work(run, tmp_path / "first", None, 1, lambda steps: steps > 2)
    second = work(run, tmp_path / "second", None, 1, lambda steps: steps > 9, first.folder)
    assert first.folder is not None and second.folder is not None
    here = replace(run, folder=run.cell.folder(0, tmp_path / "first", run.sample))
    for brought in (second.folder, first.folder):  # the second time what is here is further
        ray_worker._take(brought, run, here.folder)
        assert progress(here) > 9
    assert not list(here.folder.parent.glob("*.brought-*"))


def test_a_program_that_was_killed_is_started_again(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of(max_iteration=30, step_seconds=0.05)
    killed = list[int]()

    def report(steps: int) -> bool:
        if steps > 2 and not killed:
            children = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/children").read_text().split()
            killed.extend(map(int, children))
            for child in killed:
                os.kill(child, signal.SIGKILL)
        return False

    assert work(run, tmp_path / "runs", None, 1, report, retries=1).code == 0
    assert killed and state(run, tmp_path / "runs") == DONE
    assert (run.folder / "log.txt").read_text().count("$ ") == 2


def test_a_worker_that_blocks_ctrl_c_can_stop_its_program_all_the_same(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    run = run_of(max_iteration=50, step_seconds=0.1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as Ray's workers do
    try:
        outcome = work(run, tmp_path / "runs", None, 1, lambda steps: steps > 2)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert outcome.code == 130
    assert state(run, tmp_path / "runs") == INTERRUPTED


def test_a_run_that_fails_shows_its_end(run_of: Callable[..., Run], tmp_path: Path) -> None:
    outcome = work(run_of(fail_seed=0), tmp_path / "worker", None, 1, go_on)
    assert outcome.code == 3
    assert outcome.log.endswith("    error: this seed is meant to fail")
    again = work(run_of(fail_seed=0), tmp_path / "worker", None, 1, go_on)
    assert again.log == outcome.log  # of the last attempt alone


def test_a_run_that_another_has_is_skipped(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of(max_iteration=30, step_seconds=0.1)
    run.folder.mkdir(parents=True)
    holder = "import sys, time; from pathlib import Path; from common.storage.locks import take_lock;"
    holder += "take_lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", holder, str(run.folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"held\n"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray_worker, "LOCK_SECONDS", 0.2)
            outcome = work(run, tmp_path / "runs", None, 1, go_on)
        process.kill()
    assert outcome.code == 0 and "another process is writing this run" in outcome.log


def test_a_killed_worker_takes_its_program_along(run_of: Callable[..., Run], tmp_path: Path) -> None:
    run = run_of(max_iteration=100, step_seconds=0.1)
    program = (
        "import sys; from pathlib import Path; from reproduce.cells import load_tables;"
        "from reproduce.runs import runs_of; from reproduce.engines.ray_worker import work;"
        "cells, runs = map(Path, sys.argv[1:]);"
        "run = runs_of(load_tables(cells)['small'].cells, (0,), runs)[0]; work(run, runs, None, 1, lambda steps: False)"
    )
    words = [sys.executable, "-c", program, str(tmp_path / "cells.yaml"), str(tmp_path / "runs")]
    worker = subprocess.Popen(words, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not list(run.folder.rglob("metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.05)
    child = int(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    while os.path.exists(f"/proc/{child}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{child}")
    assert state(run, tmp_path / "runs") == INTERRUPTED
