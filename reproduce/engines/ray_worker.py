"""What a worker of a Ray cluster does for one run: its commands, one after the other, and what they left, packed."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.files import atomic_path
from common.locks import take_lock
from reproduce.cells import ROOT
from reproduce.engines.local import LOG, PROMPT, end_of_log, environment_of, exact_commands, in_shell
from reproduce.runs import DONE, RUNNING, Run, progress, state_of

POLL_SECONDS = 0.5
LOCK_SECONDS = 60.0  # for a program whose worker was killed to be gone as well
Report = Callable[[int], bool]  # takes the steps that are done, says whether to stop
DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


@dataclass(frozen=True)
class Outcome:
    """How a run ended: exit code, the last lines of its log, and its folder if that has to be brought back.

    With exit code 0, `log` says why nothing was done.
    """

    code: int
    log: str
    folder: bytes | None


def work(
    run: Run, runs_dir: Path, data_dir: Path | None, threads: int, report: Report, brought: bytes | None = None
) -> Outcome:
    """Do what is missing of a run, here. `brought`: its folder as it was where the runs are collected, or None."""
    folder = run.cell.folder(run.seed, runs_dir, run.sample)
    if brought is not None and not folder.exists():
        unpack(brought, folder)
    here = _settled(replace(run, folder=folder), runs_dir)
    if here.state == DONE:
        return Outcome(0, "", _packed(run, folder))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = take_lock(folder)
    except RecordError as error:  # another runner has it
        return Outcome(0, str(error), None)

    def stopped() -> bool:
        return report(progress(here))

    code = 0
    try:
        with open(folder / LOG, "ab") as log:
            for command in exact_commands(here, data_dir)[here.stages_done :]:
                log.write(f"{PROMPT}{in_shell(command, data_dir)}\n".encode())
                log.flush()
                code = _supervised(command, log, environment_of(threads, data_dir), stopped)
                if code:
                    break
    finally:
        os.close(lock)
    return Outcome(code, end_of_log(folder) if code else "", _packed(run, folder))


def _supervised(command: list[str], log: Any, environment: dict[str, str], stopped: Any) -> int:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=_own_signals,
    )
    asked = False
    try:
        while process.poll() is None:
            if not asked and stopped():
                asked = True
                os.killpg(process.pid, signal.SIGINT)
            time.sleep(POLL_SECONDS)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode


def _own_signals() -> None:
    """A program whose worker is killed must not train on beside the one that takes its place.

    Ray's workers block Ctrl-C, and what they start would inherit that: it could not be asked to stop.
    """
    ctypes.CDLL(None, use_errno=True).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _settled(run: Run, runs_dir: Path) -> Run:
    """Where the run stands here, once nobody writes it any more."""
    began = time.monotonic()
    while True:
        found = state_of(run.cell, run.seed, runs_dir, run.sample)
        if found.state != RUNNING or time.monotonic() - began > LOCK_SECONDS:
            return found
        time.sleep(POLL_SECONDS)


def _packed(run: Run, folder: Path) -> bytes | None:
    return pack(folder) if folder != run.folder else None


def pack(folder: Path) -> bytes:
    """A folder as a tar file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(folder, arcname=".")
    return buffer.getvalue()


def unpack(packed: bytes, folder: Path) -> None:
    """Put a packed folder in its place, taking the place of what was there; a file is whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        members = tar.getmembers()
        kept = {folder / member.name for member in members}
        for path in sorted(folder.rglob("*"), reverse=True):
            if path not in kept:
                path.rmdir() if path.is_dir() else path.unlink()
        # result.json last: with it the folder says that it is finished
        for member in sorted(members, key=lambda member: member.name.endswith("result.json")):
            place = folder / member.name
            if member.isdir():
                place.mkdir(parents=True, exist_ok=True)
            elif file := tar.extractfile(member):
                place.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(place) as temporary:
                    temporary.write_bytes(file.read())
