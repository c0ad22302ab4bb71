"""The Ray engine on a cluster of two nodes, both on this machine."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from common.records.record_files import read_metrics, read_result
from reproduce.cells import ROOT, load_tables
from reproduce.cli import main
from reproduce.engines.ray_worker import pack, unpack
from reproduce.runs import DONE, INTERRUPTED, runs_of
from tests.reproduce.fake_program import accuracy

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before a cluster is started
ray = pytest.importorskip("ray", reason="Ray is in the environment of PyTorch")
from ray.cluster_utils import Cluster  # noqa: E402

SECONDS = 500.0  # that a busy machine may take for what takes seconds
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes of a core each; the second one has a GPU, as far as Ray is told."""
    found = Cluster()
    add_node(found, include_dashboard=False)
    add_node(found, num_gpus=1)
    yield found
    found.shutdown()


@pytest.fixture
def address(cluster: Cluster) -> str:
    return cluster.address


def add_node(cluster: Cluster, **options: Any) -> Any:
    """Ray waits 30 seconds for a node, which a busy machine may not make; it answers SIGTERM from then on."""
    before = signal.getsignal(signal.SIGTERM)
    for attempt in range(3):
        try:
            node = cluster.add_node(wait=False, num_cpus=1, **options)
            cluster.wait_for_nodes(SECONDS)
            return node
        except Exception:
            if attempt == 2:
                raise
        finally:
            signal.signal(signal.SIGTERM, before)


def words(cells: Path, *more: str) -> list[str]:
    places = ["--cells", str(cells), "--runs_dir", str(cells.parent / "runs"), "--table", "small"]
    return ["run", *places, "--engine", "ray", "--force", *more]


def states(cells: Path, seeds: tuple[int, ...] | None = None) -> list[str]:
    return [run.state for run in runs_of(load_tables(cells)["small"].cells, seeds, cells.parent / "runs")]


def processes() -> Iterator[tuple[int, bytes]]:
    """Of this machine: process id, command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield int(path.parent.name), path.read_bytes()


def programs(place: Path) -> list[int]:
    """Process ids of the programs that write below a folder."""
    return [
        process
        for process, line in processes()
        if b"fake_program" in line and b"raylet" not in line and str(place).encode() in line
    ]


def boards() -> list[int]:
    return [process for process, line in processes() if line.startswith(b"ray::Board")]


def raylet(node: Any) -> int:
    """The process id of a node."""
    (process,) = node.all_processes["raylet"]
    return process.process.pid


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def node_of(program: int) -> int:
    """The process id of the node that runs a program: the parent of its worker."""
    return parent(parent(program))


def gpu_of(program: int) -> str | None:
    """What it may see."""
    words = Path(f"/proc/{program}/environ").read_bytes().decode().split("\0")
    return dict(word.partition("=")[::2] for word in words if word).get("CUDA_VISIBLE_DEVICES")


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def begun(place: Path, count: int) -> list[int]:
    """So many programs, each of which has logged two steps and waits at its gate."""
    wait_for(lambda: [path.read_text().count("\n") for path in place.rglob("metrics.jsonl")] == [2] * count)
    return wait_for(lambda: found if len(found := programs(place)) == count else None)


class Meanwhile(threading.Thread):
    """Does something while the test waits, and says in the end how that went."""

    def __init__(self, task: Callable[[], Any]) -> None:
        super().__init__()
        self._task = task
        self.start()

    def run(self) -> None:
        try:
            self._result, self._error = self._task(), None
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        self.join()
        if self._error is not None:
            raise self._error
        return self._result


def check_done(cells: Path, seeds: tuple[int, ...], steps: int) -> None:
    """Every run is what an undisturbed one would be."""
    assert states(cells, seeds) == [DONE] * 2 * len(seeds)
    results = list((cells.parent / "runs").rglob("result.json"))
    assert len(results) == 2 * len(seeds)
    for path in results:
        result = read_result(path.parent)
        assert [line["step"] for line in read_metrics(path.parent)] == list(range(1, steps + 1))
        assert result["metrics"]["accuracy"] == accuracy("ieg", result["seed"], steps)


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
    assert "6 runs to do (0 of 6 already done or skipped), as the cluster allows" in error
    assert "FAILED: small-a-0.8 seed 1, exit code 3" in error and "    error: this seed is meant to fail" in error
    kept = {path: path.stat().st_mtime_ns for path in (cells.parent / "runs").rglob("result.json")}
    assert len(kept) == 4 and all(read_result(path.parent)["finished"] for path in kept)
    assert sum(1 for _ in worker_dir.rglob("result.json")) == 4
    assert main([*command, "--seeds", "0,2"]) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.slow
def test_a_core_each_and_a_killed_worker_takes_its_program_along_and_the_run_goes_on(
    write_cells: Callable[..., Path], address: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    cells = write_cells(max_iteration=10, gate=str(gate))

    def kill() -> None:
        try:
            first, second = begun(cells.parent / "runs", 2)
            assert node_of(first) != node_of(second)  # a core each
            time.sleep(5)
            assert set(programs(cells.parent)) == {first, second}  # and no third one, as long as they run
            os.kill(parent(first), signal.SIGKILL)
            wait_for(lambda: not Path(f"/proc/{first}").exists())
        finally:
            gate.touch()

    meanwhile = Meanwhile(kill)
    assert main(words(cells, "--address", address, "--seeds", "0,1")) == 0
    meanwhile.result()
    check_done(cells, (0, 1), 10)
    logs = [path.read_text().count("$ ") for path in (cells.parent / "runs").rglob("log.txt")]
    assert sorted(logs) == [1, 1, 1, 2]  # one of the four was begun again


@pytest.mark.slow
def test_a_node_that_is_lost_takes_its_program_along_and_the_run_goes_on_elsewhere(
    write_cells: Callable[..., Path], cluster: Cluster, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    cells = write_cells(max_iteration=10, gate=str(gate))
    lost = add_node(cluster)
    node = raylet(lost)

    def lose() -> None:
        try:
            (ours,) = (program for program in begun(cells.parent / "runs", 3) if node_of(program) == node)
            assert raylet(cluster.head_node) in map(parent, boards())  # never on a node that may be lost
            cluster.remove_node(lost, allow_graceful=False)
            wait_for(lambda: not Path(f"/proc/{ours}").exists())
        finally:
            gate.touch()

    meanwhile = Meanwhile(lose)
    assert main(words(cells, "--address", cluster.address, "--seeds", "0,1")) == 0
    meanwhile.result()
    check_done(cells, (0, 1), 10)
    logs = [path.read_text().count("$ ") for path in (cells.parent / "runs").rglob("log.txt")]
    assert sorted(logs) == [1, 1, 1, 2]


@pytest.mark.slow
def test_a_run_gets_the_gpu_that_its_cell_asks_for(
    write_cells: Callable[..., Path], cluster: Cluster, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    cells = write_cells(max_iteration=4, gate=str(gate))
    (with_gpu,) = map(raylet, cluster.worker_nodes)

    def look() -> None:
        try:
            (program,) = begun(cells.parent / "runs", 1)
            assert (node_of(program), gpu_of(program)) == (with_gpu, "0")
            time.sleep(5)
            assert programs(cells.parent) == [program]  # two cells, one GPU: one at a time
        finally:
            gate.touch()

    meanwhile = Meanwhile(look)
    command = [word for word in words(cells, "--address", cluster.address, "--seeds", "0") if word != "--force"]
    assert main(command) == 0
    meanwhile.result()
    check_done(cells, (0,), 4)


@pytest.mark.slow
def test_ctrl_c_lets_the_runs_save_their_state_and_the_same_command_goes_on(
    write_cells: Callable[..., Path], address: str, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    cells = write_cells(max_iteration=10, gate=str(gate))
    worker_dir = cells.parent / "worker"
    command = words(cells, "--seeds", "0", "--address", address, "--worker_dir", str(worker_dir))
    process = subprocess.Popen(
        [sys.executable, "-m", "reproduce", *command],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    begun(worker_dir, 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, error
    assert "stopping 2 runs; each saves its state first" in error
    assert "Traceback" not in error
    assert states(cells, (0,)) == [INTERRUPTED] * 2, error
    assert programs(cells.parent) == []
    gate.touch()
    assert main(command) == 0
    check_done(cells, (0,), 10)
    assert [path.read_text().count("$ ") for path in (cells.parent / "runs").rglob("log.txt")] == [2, 2]


@pytest.mark.slow
def test_a_cluster_of_its_own_is_gone_afterwards(write_cells: Callable[..., Path], address: str) -> None:
    cells = write_cells()
    command = [sys.executable, "-m", "reproduce", *words(cells, "--seeds", "0", "--jobs", "1")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    servers = set[int]()

    def look() -> bool:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        with contextlib.suppress(OSError):
            servers.update(map(int, children.read_text().split()))
        return process.poll() is not None

    wait_for(look)
    assert process.returncode == 0, process.communicate()[1]
    check_done(cells, (0,), 4)
    assert len(servers) > 2  # it did not join the one that runs here
    wait_for(lambda: not any(Path(f"/proc/{server}").exists() for server in servers))


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:{port}", "no Ray cluster answers there"),
        ("nonsense", "is not HOST:PORT of a Ray cluster's head, nor `auto`"),
        ("127.0.0.1:", "is not HOST:PORT"),
        (":6379", "is not HOST:PORT"),
        ("127.0.0.1:99999", "no Ray cluster answers there"),
    ],
)
def test_a_wrong_address_is_told_at_once(
    write_cells: Callable[..., Path], capsys: pytest.CaptureFixture[str], address: str, message: str
) -> None:
    address = address.format(port=closed_port())
    assert main(words(write_cells(), "--address", address)) == 2
    error = capsys.readouterr().err
    assert f"error: --address={address}" in error and message in error and "`ray start --head` starts one" in error


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (ConnectionError("Failed to connect"), "Failed to connect; `ray start --head` starts one"),
        (RuntimeError("Version mismatch: the cluster has\n  more"), "Version mismatch: the cluster has; `ray start"),
        (ray.exceptions.AuthenticationError("InvalidAuthToken"), "elsewhere set RAY_AUTH_MODE=token"),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_told(
    write_cells: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    message: str,
) -> None:
    def init(**_: Any) -> None:
        raise raised

    monkeypatch.setattr("ray.init", init)
    assert main(words(write_cells(), "--address", "auto")) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_worker_raised_is_shown_and_the_others_go_on(
    write_cells: Callable[..., Path], address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = write_cells()
    worker_dir = tmp_path / "worker"
    (worker_dir / "ieg").mkdir(parents=True)
    (worker_dir / "ieg" / "small-a-0").write_text("a file where a folder has to be")
    assert main(words(cells, "--address", address, "--seeds", "0", "--worker_dir", str(worker_dir))) == 1
    error = capsys.readouterr().err
    assert "FAILED: small-a-0 seed 0: " in error and "small-a-0" in error.split("FAILED: small-a-0 seed 0: ")[1]
    assert "NotADirectoryError" in error and "Traceback" not in error
    assert states(cells, (0,)) == ["missing", DONE]


def test_a_cluster_that_is_too_small_is_told(
    write_cells: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reproduce.engines.ray_cluster.ray_started", lambda _: contextlib.nullcontext(ray))
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 8.0}}]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    cells = write_cells()
    assert main([*words(cells), "--cpus_per_run", "3"]) == 2
    assert (
        "a run needs 3 CPU and 0 GPU of one node, those of the cluster have 2 CPU, 0 GPU; see --cpus_per_run"
        in capsys.readouterr().err
    )
    assert main([word for word in words(cells) if word != "--force"]) == 2
    assert "a run needs 1 CPU and 1 GPU of one node, those of the cluster have" in capsys.readouterr().err


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
