"""Readers and ranks that are killed, memory that readers share and that is too small, ports that are taken."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from common.errors import ProcessLost, UsageError, WorkFailed
from common.pytorch import readers
from common.pytorch.process_group import Group, run_in
from moco_nonsem.images.workers import Reading, read
from moco_nonsem.pretraining import program as pretrain_program
from moco_nonsem.running import launch
from moco_nonsem.running.flags import PretrainFlags
from tests.common.test_children import alive, wait_for
from tests.moco_nonsem.small_runs import PATCH
from tests.programs import metrics_of, result_of, start

ALONE = Group(0, 1, torch.device("cpu"))


class Source(torch.utils.data.Dataset):
    """Float32 [b, 4] by (epoch, places); where `ends` is one of them, what the worker does."""

    def __init__(self, ends=None, act=lambda: None):
        self.ends, self.act = ends, act

    def __getitem__(self, item):
        if self.ends in item[1]:
            self.act()
        return torch.ones(len(item[1]), 4)


def batches(source, workers=2, count=6):
    return list(read(source, [(0, [place]) for place in range(count)], Reading(
        batch_size=1, workers=workers, seed=0, group=ALONE)))  # fmt: skip


def small(total, free=None):
    """What the system says of a /dev/shm of so many bytes."""
    return lambda path: SimpleNamespace(f_frsize=1, f_blocks=total, f_bavail=total if free is None else free)


def test_a_reader_that_is_killed_ends_the_run_in_a_sentence(capfd):
    source = Source(3, lambda: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ProcessLost, match=r"a process that reads images was killed, .*--resume naming .* resumes"):
        batches(source)
    assert "Traceback" not in capfd.readouterr().err


def test_a_reader_that_is_killed_while_a_step_is_computed_is_told_alike():
    def work(group):
        found = read(Source(), [(0, [place]) for place in range(20)], Reading(
            batch_size=1, workers=2, seed=0, group=group))  # fmt: skip
        next(found)
        os.kill(children_of(os.getpid())[-1], signal.SIGKILL)
        time.sleep(10)  # torch raises its error here
        return 0

    with pytest.raises(ProcessLost, match="a process that reads images was killed"):
        run_in(ALONE, work, "gloo")


def test_a_batch_that_cannot_be_shared_ends_the_run_and_does_not_wait_for_ever(monkeypatch, capfd):
    def full(self):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", full)
    with pytest.raises(WorkFailed, match=r"/dev/shm is full; .*--shm-size=8g .* -j 0 or --workers=0"):
        batches(Source())
    assert "Traceback" not in capfd.readouterr().err


def test_shared_memory_that_is_too_small_is_found_before_training(tree, tmp_path, monkeypatch, capfd):
    """64 MB, docker's default: 224 pixels, batches of 128; a view in float32 has 0.6 MB, a batch 3 views an image."""
    one = 3 * 224 * 224 * 4
    monkeypatch.setattr(readers.os, "statvfs", small(64 * 2**20))
    with pytest.raises(WorkFailed, match="/dev/shm has 64 MB free, and 4 reading processes need 1984 MB there"):
        readers.check_room(torch.empty(3, one, dtype=torch.uint8), 128, 4, 1, "-j 0")
    # The program's own batches: two views and a patch view, two batches ahead of each reader and one in use.
    need = 3 * 8 * 3 * 16 * 16 * 4 * (2 * 1 + 1)
    command = [*PATCH, "--epochs=1", "--device=cpu", f"--run_dir={tmp_path / 'run'}", str(tree)]
    monkeypatch.setattr("moco_nonsem.running.run_record.cores", lambda: 1)
    monkeypatch.setattr(readers.os, "statvfs", small(need - 1))
    assert pretrain_program.main([*command, "-j", "1"]) == 1
    error = capfd.readouterr().err
    assert "error: /dev/shm has 0 MB free, and 1 reading processes need 0 MB there" in error
    assert "--shm-size=1g" in error and "-j 0" in error and "Traceback" not in error
    monkeypatch.setattr(readers.os, "statvfs", small(need))
    assert pretrain_program.main([*command, "-j", "1"]) == 0


def test_processes_of_one_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(readers.os, "statvfs", small(500, 500))
    readers.check_room(torch.empty(100, dtype=torch.uint8), 1, 2, 1, "-j 0")
    with pytest.raises(WorkFailed, match="2 reading processes of each of 2 processes"):
        readers.check_room(torch.empty(100, dtype=torch.uint8), 1, 2, 2, "-j 0")
    monkeypatch.setattr(readers.os, "statvfs", small(500, 499))  # another program has some of it
    with pytest.raises(WorkFailed):
        readers.check_room(torch.empty(100, dtype=torch.uint8), 1, 2, 1, "-j 0")
    readers.check_room(torch.empty(1000, dtype=torch.uint8), 1, 0, 1, "-j 0")


def test_a_port_that_is_taken_is_told_at_once(capfd, tree, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"--dist-url=tcp://localhost:{port}"
        several = ["--multiprocessing-distributed", "--processes=2", "--dist-backend=gloo", "--device=cpu", url]
        monkeypatch.setattr(launch, "start_all", None)
        assert pretrain_program.main([*PATCH, "--epochs=1", *several, str(tree)]) == 2
        said = f"error: {url}: port {port} of this machine is taken, perhaps by another run; give another one, or on"
        assert capfd.readouterr().err.splitlines() == [f"{said} one machine leave --dist-url out"]
        launch.places(PretrainFlags(data="", dist_backend="gloo", device="cpu", world_size=2, rank=1,
                                    dist_url=f"tcp://localhost:{port}"), 0)  # fmt: skip
        monkeypatch.setenv("MASTER_PORT", str(port))
        with pytest.raises(UsageError, match=f"MASTER_PORT={port}: port {port} of this machine is taken"):
            run_in(Group(0, 2, torch.device("cpu")), lambda group: 0, "gloo")


def test_words_of_torch_over_another_process_are_a_sentence():
    def closed(group):
        raise RuntimeError("[../third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by peer [::1]:9")

    def other(group):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    patch = pytest.MonkeyPatch()
    with patch.context() as patched:
        for name in ("init_process_group", "destroy_process_group"):
            patched.setattr(torch.distributed, name, lambda *_, **__: None)
        two = Group(0, 2, torch.device("cpu"))
        with pytest.raises(ProcessLost, match=r"another of the 2 processes is gone \(Connection closed by peer"):
            run_in(two, closed, "gloo", "tcp://localhost:1")
        with pytest.raises(RuntimeError, match="mat1"):
            run_in(two, other, "gloo", "tcp://localhost:1")


def children_of(process):
    with subprocess.Popen(["ps", "-o", "pid=", "--ppid", str(process)], stdout=subprocess.PIPE, text=True) as found:
        return [int(word) for word in found.communicate()[0].split() if int(word) != found.pid]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("victim", ["launcher", "rank 0", "rank 1", "reader"])
def test_two_processes_of_which_one_is_killed(victim, tree, tmp_path):
    folder = tmp_path / "run"
    distributed = ["--multiprocessing-distributed", "--processes=2", "--dist-backend=gloo", "--device=cpu", "-j", "2"]
    command = [*PATCH, *distributed, "--save-minutes=0", f"--run_dir={folder}", str(tree)]
    process = start(["-m", "moco_nonsem.moco-non-sem-neg"], *command, "--epochs=3000")
    assert wait_for(lambda: (folder / "metrics.jsonl").exists() and len(metrics_of(folder)) > 1, 300)
    ranks = [child for child in children_of(process.pid)
             if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]  # fmt: skip
    assert len(ranks) == 2
    wait_for(lambda: bool(children_of(ranks[1])))
    family = ranks + [child for rank in ranks for child in children_of(rank)]
    chosen = {"launcher": process.pid, "rank 0": ranks[0], "rank 1": ranks[1]}.get(victim)
    if chosen is None:
        wait_for(lambda: any(children_of(rank) for rank in ranks))
        chosen = (children_of(ranks[0]) + children_of(ranks[1]))[-1]
    os.kill(chosen, signal.SIGKILL)
    _, error = process.communicate(timeout=120)
    assert wait_for(lambda: not any(map(alive, family)))
    if victim != "launcher":
        assert process.returncode == 1
        assert [line for line in error.splitlines() if line.startswith("error: ")] == error.splitlines()[-1:]
        assert "resumes the run" in error.splitlines()[-1] and "Traceback" not in error and "leaked" not in error
    assert not result_of(folder)["finished"]
