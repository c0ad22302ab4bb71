"""Joins a Ray cluster, or starts one on this machine that ends with this process. Needs Ray."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common.children import taken_along
from common.environment import folder_for_ray
from common.errors import UsageError
from common.machine import cores
from common.paths import repo_root

CONNECT_SECONDS = 10.0
ATTEMPTS = 5  # Ray gives itself 30 seconds to start, which a busy machine may exceed
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
            stack.enter_context(taken_along(_of_the_node(ray)))
            stack.callback(ray.shutdown)  # before they are killed
        yield ray


def _init(ray: Any, address: str | None, settings: dict[str, Any]) -> None:
    for left in reversed(range(ATTEMPTS)):
        try:
            # "local", for without an address Ray joins whatever cluster it finds.
            ray.init(address=address or "local", **settings)
            return
        except Exception as error:  # Ray has no class of its own for this
            ray.shutdown()
            cause = error.__cause__ or error
            if address:
                way = TOKEN if "Auth" in f"{type(cause)} {cause}" else WAY
                raise UsageError(f"--address={address}: {sentence(error)}; {way}") from error
            if not left:
                raise OSError(f"Ray does not start: {sentence(error)}") from error
            logging.warning("Ray did not start, it gets another try: %s", sentence(error))


def _of_the_node(ray: Any) -> list[int]:
    """Process ids of what this machine's node has started: agents, workers.

    The agents of a node that is killed try for a minute to tell the head of the cluster, which is gone as well.
    """
    (node,) = ray._private.worker.global_worker.node.all_processes[ray._private.ray_constants.PROCESS_TYPE_RAYLET]
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(place.read_text().rpartition(")")[2].split()[1]) == node.process.pid:
                found.append(int(place.parent.name))
    return found


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
