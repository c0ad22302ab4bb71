"""Joins a Ray cluster, or starts one on this machine that ends with this process. Needs Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.children import taken_along
from common.environment import folder_for_ray
from common.errors import UsageError
from common.machine import cores
from common.paths import repo_root

CONNECT_SECONDS = 10.0
ATTEMPTS, START_SECONDS, POLL_SECONDS = 3, 300.0, 0.2
STORE_BYTES = 100 * 2**20  # what tasks tell one another is next to nothing
WAY = "`ray start --head` starts one and prints its address; `auto` is the one that this machine belongs to"
TOKEN = (
    "the cluster asks for its token: `auto` on one of its nodes finds that by itself; elsewhere set"
    " RAY_AUTH_MODE=token, with the token where Ray's documentation says"
)
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing of a run is reported to anybody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_gcs_server_port_wait_time_s": str(int(START_SECONDS)),
    "RAY_worker_niceness": "0",  # tasks yield to nothing that the command itself does not yield to
}


@contextlib.contextmanager
def ray_started(address: str | None, gpus: float | None = None) -> Iterator[Any]:
    """The module `ray`, connected to the cluster at `address`, or to one of its own on this machine.

    gpus: of this machine; None: those that Ray finds. Raises: UsageError where no cluster answers, OSError where none
    starts.
    """
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    with contextlib.ExitStack() as stack:
        stack.enter_context(_own_sigterm())
        if address and address != "auto":
            _check_address(address)
        if not address:
            settings |= {
                "num_cpus": cores(),
                "num_gpus": gpus,
                "object_store_memory": STORE_BYTES,
                "include_dashboard": False,
                "_temp_dir": stack.enter_context(folder_for_ray()),
            }
        os.environ.update(SETTINGS)
        import ray

        stack.callback(ray.shutdown)  # before its folder goes
        # Ray lets workers import from the current folder, where our modules' names would hide others'.
        with contextlib.chdir(repo_root()):
            _init(ray, address, settings)
        if not address:
            kinds = ray._private.worker.global_worker.node.all_processes
            head, node = (kinds[name][0].process.pid for name in ("gcs_server", "raylet"))
            # What a node that is killed leaves tries for a minute to tell the cluster's head, which is gone as well.
            stack.enter_context(taken_along(_children({node})))
            stack.callback(ray.shutdown)  # before they are killed
            for process in (head, node):
                stack.enter_context(_needed(process, settings["_temp_dir"]))
        yield ray


def _init(ray: Any, address: str | None, settings: dict[str, Any]) -> None:
    for left in reversed(range(ATTEMPTS)):
        before = _children({os.getpid()})
        try:
            # "local", for without an address Ray joins whatever cluster it finds.
            with contextlib.nullcontext() if address else _patience(ray):
                ray.init(address=address or "local", **settings)
            return
        except Exception as error:  # Ray has no class of its own for this
            ray.shutdown()
            _end_what_is_left(before)
            cause = error.__cause__ or error
            if address:
                way = TOKEN if "Auth" in f"{type(cause)} {cause}" else WAY
                raise UsageError(f"--address={address}: {sentence(error)}; {way}") from error
            if not left:
                raise OSError(f"Ray does not start: {sentence(error)}") from error
            logging.warning("Ray did not start, it gets another try: %s", sentence(error))


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Ray answers SIGTERM as long as it is there, and afterwards, too."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _needed(process: int, folder: str) -> Iterator[None]:
    """Ends this program when a child of it is gone, for which Ray waits a minute to end it without a sentence."""
    over = threading.Event()

    def watch() -> None:
        with contextlib.suppress(ChildProcessError):  # Ray has seen it
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        if not over.is_set():
            print("error: a process of Ray's was killed; the same command resumes", file=sys.stderr, flush=True)
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _children(parents: set[int], states: str = "RSDITZ") -> set[int]:
    """Process ids of what these processes have started and what is in one of the states of proc(5)."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = place.read_text().rpartition(")")[2].split()[:2]
            if int(parent) in parents and state in states:
                found.add(int(place.parent.name))
    return found


@contextlib.contextmanager
def _patience(ray: Any) -> Iterator[None]:
    """Ray gives a node 30 seconds to start, which takes a busy machine minutes; one that is gone is not waited for."""
    ask, until = ray._private.services.get_node, time.monotonic() + START_SECONDS

    def wait(*node: Any) -> Any:
        starting = _children({os.getpid()}, "RSDI")
        while True:
            try:
                return ask(*node)
            except RuntimeError:  # it has not started
                if time.monotonic() > until or starting - _children({os.getpid()}, "RSDI"):
                    raise
            time.sleep(POLL_SECONDS)

    ray._private.services.get_node = wait
    try:
        yield
    finally:
        ray._private.services.get_node = ask


def _end_what_is_left(before: set[int]) -> None:
    """Of a start that failed Ray leaves what it had started, which would take the next one's time."""
    left = _children({os.getpid()}) - before
    for process in [*left, *_children(left)]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    for process in left:
        with contextlib.suppress(ChildProcessError):  # somebody has waited for it
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)


def _check_address(address: str) -> None:
    """Whether anything answers there, for Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"--address={address} is not HOST:PORT of a Ray cluster's head, nor `auto`; {WAY}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"--address={address}: no Ray cluster answers there ({error}); {WAY}") from error


def sentence(error: BaseException) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
