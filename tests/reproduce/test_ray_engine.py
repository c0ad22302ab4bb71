"""The Ray engine on a cluster of two nodes, both on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reproduce.cells import ROOT, load_tables
from reproduce.cli import main
from reproduce.ray_work import pack, unpack
from reproduce.record import read_metrics, read_result
from reproduce.runs import DONE, INTERRUPTED, runs_of
from tests.reproduce.fake_program import accuracy

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before a cluster is started
ray = pytest.importorskip("ray", reason="Ray is in the environment of PyTorch")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from ray.cluster_utils import Cluster

    for attempt in range(3):  # Ray waits 30 seconds for a node, which a busy machine may not make
        try:
            cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
            cluster.add_node(num_cpus=1)
            break
        except Exception:
            if attempt == 2:
                raise
    yield cluster.address
    cluster.shutdown()


def words(cells: Path, *more: str) -> list[str]:
    places = ["--cells", str(cells), "--runs_dir", str(cells.parent / "runs"), "--table", "small"]
    return ["run", *places, "--engine", "ray", "--force", *more]


def states(cells: Path, seeds: tuple[int, ...] | None = None) -> list[str]:
    return [run.state for run in runs_of(load_tables(cells)["small"].cells, seeds, cells.parent / "runs")]


def programs(place: Path) -> list[int]:
    """Process ids of the programs that write below a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"fake_program" in line and str(place).encode() in line:
            found.append(int(path.parent.name))
    return found


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.slow
def test_two_nodes_do_what_is_missing_and_nothing_twice(
    write_cells: Callable[..., Path], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = write_cells(fail_seed=1)
    worker_dir = cells.parent / "on the worker"
    command = words(cells, "--address", address, "--worker_dir", str(worker_dir))
    assert main(command) == 1
    assert states(cells) == [DONE, "missing", DONE] * 2
    error = capsys.readouterr().err
    assert "6 runs to do, 0 of 6 not needed, as the cluster allows" in error
    assert "FAILED: small-a-0.8 seed 1, exit code 3" in error and "    error: this seed is meant to fail" in error
    kept = {path: path.stat().st_mtime_ns for path in (cells.parent / "runs").rglob("result.json")}
    assert len(kept) == 4 and all(read_result(path.parent)["finished"] for path in kept)
    assert sum(1 for _ in worker_dir.rglob("result.json")) == 4
    assert main([*command, "--seeds", "0,2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.slow
def test_a_killed_worker_takes_its_program_along_and_the_run_goes_on(
    write_cells: Callable[..., Path], address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = write_cells(max_iteration=20, step_seconds=0.2)
    killed: list[int] = []

    def kill() -> None:
        wait_for(lambda: [path for path in (cells.parent / "runs").rglob("metrics.jsonl") if path.stat().st_size > 200])
        program = programs(cells.parent)[0]
        worker = int(Path(f"/proc/{program}/stat").read_text().rpartition(")")[2].split()[1])
        killed.append(program)
        os.kill(worker, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    assert main(words(cells, "--address", address, "--seeds", "0")) == 0
    thread.join()
    assert states(cells, (0,)) == [DONE] * 2
    assert killed and not Path(f"/proc/{killed[0]}").exists()
    logs = [path.read_text().count("$ ") for path in (cells.parent / "runs").rglob("log.txt")]
    assert sorted(logs) == [1, 2]  # one of the two was begun again
    for path in (cells.parent / "runs").rglob("result.json"):
        assert [line["step"] for line in read_metrics(path.parent)] == list(range(1, 21))
        assert read_result(path.parent)["metrics"] == {"accuracy": accuracy("ieg", 0, 20)}


@pytest.mark.slow
def test_ctrl_c_lets_the_runs_save_their_state_and_the_same_command_goes_on(write_cells: Callable[..., Path]) -> None:
    cells = write_cells(max_iteration=40, step_seconds=0.2)
    worker_dir = cells.parent / "worker"
    command = words(cells, "--seeds", "0", "--worker_dir", str(worker_dir))
    process = subprocess.Popen(
        [sys.executable, "-m", "reproduce", *command], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    wait_for(lambda: list(worker_dir.rglob("metrics.jsonl")) or process.poll() is not None)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "each saves its state first" in error
    assert INTERRUPTED in states(cells, (0,)), error
    assert programs(cells.parent) == []


def test_a_cluster_that_is_too_small_is_told(
    write_cells: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: None)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
    cells = write_cells()
    assert main([*words(cells), "--cpus_per_run", "3"]) == 2
    assert "a run needs 3 CPU, the whole cluster has 2; see --cpus_per_run" in capsys.readouterr().err
    assert main([word for word in words(cells) if word != "--force"]) == 2
    assert "a run needs 1 GPU, the whole cluster has 0" in capsys.readouterr().err


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    for name, text in {"a/result.json": "1", "a/b/checkpoint": "2"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "there" / "old").mkdir(parents=True)
    (tmp_path / "there" / "old" / "checkpoint").touch()
    unpack(pack(tmp_path / "a"), tmp_path / "there")
    files = {str(path.relative_to(tmp_path / "there")): path.read_text() for path in (tmp_path / "there").rglob("*.*")}
    assert files == {"result.json": "1"}
    assert (tmp_path / "there" / "b" / "checkpoint").read_text() == "2"
    assert not (tmp_path / "there" / "old").exists()
