"""Which processes a command line means: one, those that torchrun started, or those that we start."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from types import FrameType
from typing import Any

from common.children import end, end_with_parent
from common.environment import torchrun
from common.errors import RESUME, UsageError
from common.machine import check_port
from common.stopping import when_asked
from moco_nonsem.running.flags import DIST_URL, Distributed

GRACE_SECONDS = 10.0  # for the other processes to notice, and then to end


@dataclass(frozen=True)
class Place:
    """One process: its rank among all, its GPU (None: the CPU), and how it reaches the others."""

    rank: int = 0
    world_size: int = 1
    gpu: int | None = None
    local_size: int = 1
    backend: str = "gloo"
    url: str = "env://"


def places(flags: Distributed, gpus: int) -> list[Place]:
    """The processes of this command line on this machine; more than one must be started.

    gpus: how many torch finds here. Raises: UsageError.
    """
    started = torchrun()
    if flags.multiprocessing_distributed and not started:
        return _of_this_machine(flags, gpus)
    if started:
        gpu, size = _gpu(flags, started["LOCAL_RANK"], gpus), started["LOCAL_WORLD_SIZE"]
        place = Place(started["RANK"], started["WORLD_SIZE"], gpu, size, flags.dist_backend)
    elif flags.world_size > 1:
        if not 0 <= flags.rank < flags.world_size:
            raise UsageError(
                f"--rank={flags.rank}: with --world-size={flags.world_size} it is 0 … {flags.world_size - 1}"
            )
        url = _meeting_place(flags, machines=flags.world_size)
        place = Place(flags.rank, flags.world_size, _gpu(flags, 0, gpus), 1, flags.dist_backend, url)
    else:
        return [Place(gpu=_gpu(flags, 0, gpus))]
    _check_backend(flags, place)
    return [place]


def _of_this_machine(flags: Distributed, gpus: int) -> list[Place]:
    machines = max(1, flags.world_size)
    if machines > 1 and not 0 <= flags.rank < machines:
        raise UsageError(f"--rank={flags.rank}: with --world-size={machines} machines it is 0 … {machines - 1}")
    on_cpu = flags.device == "cpu" or gpus == 0
    local = flags.processes or (1 if on_cpu or flags.gpu is not None else gpus)
    first, url = max(0, flags.rank) * local, _meeting_place(flags, machines)
    processes = [
        Place(first + n, machines * local, _gpu(flags, n, gpus), local, flags.dist_backend, url) for n in range(local)
    ]
    for place in processes:
        _check_backend(flags, place)
    return processes


def _meeting_place(flags: Distributed, machines: int) -> str:
    """The URL that all processes know. Raises: UsageError where several machines were told of none, or it is taken."""
    # DEVIATION: the authors' default is a multicast address, which torch no longer supports: it would try for hours;
    # here the default means a free port on this machine.
    if flags.dist_url != DIST_URL:
        if flags.dist_url.startswith("tcp://") and flags.rank <= 0:
            way_out = "give another one, or on one machine leave --dist-url out"
            check_port(flags.dist_url.rpartition(":")[2], f"--dist-url={flags.dist_url}", way_out)
        return flags.dist_url
    if machines > 1:
        raise UsageError(
            f"--dist-url={flags.dist_url}: torch cannot meet there; give every machine the first one's address and a "
            "free port, --dist-url=tcp://ADDRESS:PORT"
        )
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return f"tcp://localhost:{free.getsockname()[1]}"


def _gpu(flags: Distributed, local: int, gpus: int) -> int | None:
    """The GPU of the process `local` of this machine."""
    if flags.device == "cpu" or (flags.device == "auto" and gpus == 0 and flags.gpu is None):
        return None
    wanted = local if flags.gpu is None else flags.gpu
    if not 0 <= wanted < gpus:
        raise UsageError(
            f"--device={flags.device}: GPU {wanted} is wanted, but torch finds {gpus} here; give --device=cpu "
            "--dist-backend=gloo, or fewer processes"
        )
    return wanted


def _check_backend(flags: Distributed, place: Place) -> None:
    if flags.dist_backend not in ("nccl", "gloo"):
        raise UsageError(f"--dist-backend={flags.dist_backend}: there is nccl (GPUs) and gloo (CPU)")
    if flags.dist_backend == "nccl" and place.gpu is None:
        raise UsageError("--dist-backend=nccl needs GPUs, and this process has none; give --dist-backend=gloo")


def start_all(work: Callable[[Any, Place, list[str]], int], flags: Any, places: list[Place], command: list[str]) -> int:
    """Runs work(flags, place, command) in a process for every place. Returns the first exit code that is not 0, else 0.

    When one fails, the others are ended: they would wait for it forever. Ctrl-C and SIGTERM reach them all, and when
    this process ends, they end. The first of them says why it failed; where it was killed, this process does.
    """
    # What processes that were killed leave to Python's tracker does not concern a user.
    sys.warnoptions.append("ignore::UserWarning:multiprocessing.resource_tracker")
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_work, args=(work, flags, place, command)) for place in places]

    def forward(number: int, _frame: FrameType | None) -> None:
        # Not SIGINT: the terminal sends that to every process itself, and a second one means to stop at once.
        for process in started:
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGHUP if number == signal.SIGHUP else signal.SIGTERM)

    before = when_asked(forward)
    try:
        for process in started:
            process.start()
        failed, was_killed = 0, False
        while alive := [process.sentinel for process in started if process.is_alive()]:
            multiprocessing.connection.wait(alive)
            failed = failed or _first_failure(started)
            if failed not in (0, 130):
                _let_end(started)
                was_killed = any((process.exitcode or 0) < 0 for process in started)
                end(started, GRACE_SECONDS)
        failed = failed or _first_failure(started)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if (was_killed or failed < 0) and (started[0].exitcode or 0) <= 0:
        print(f"error: a process of the run was killed; {RESUME}", file=sys.stderr)
    return failed if failed >= 0 else 1


def _let_end(started: list[SpawnProcess]) -> None:
    """Waits for processes to notice that one has failed, and to say so."""
    until = time.monotonic() + GRACE_SECONDS
    while alive := [process.sentinel for process in started if process.is_alive()]:
        if not multiprocessing.connection.wait(alive, max(0.0, until - time.monotonic())):
            return


def _first_failure(started: list[SpawnProcess]) -> int:
    """The first exit code that is not 0 of the processes that have ended, else 0."""
    return next((process.exitcode for process in started if process.exitcode), 0)


def _work(work: Callable[[Any, Place, list[str]], int], flags: Any, place: Place, command: list[str]) -> None:
    end_with_parent()
    # As torchrun would say it: who prints.
    os.environ |= {"RANK": str(place.rank), "WORLD_SIZE": str(place.world_size)}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    raise SystemExit(work(flags, place, command))
