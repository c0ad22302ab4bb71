"""What a worker of a Ray cluster does for one run, and what the run left, packed."""

from __future__ import annotations

import io
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from common.errors import RecordError
from common.storage.files import atomic_path
from reproduce.engines.commands import do, end_of_log, environment_of
from reproduce.runs import DONE, RUNNING, Run, progress, state_of

POLL_SECONDS = 0.5
LOCK_SECONDS = 60.0  # for a program whose worker was killed to be gone as well
Report = Callable[[int], bool]  # takes the steps that are done, says whether to stop


@dataclass(frozen=True)
class Outcome:
    """How a run ended: exit code, the last lines of its log, and its folder if that has to be brought back.

    With exit code 0, `log` says why nothing was done.
    """

    code: int
    log: str
    folder: bytes | None


def work(
    run: Run,
    runs_dir: Path,
    data_dir: Path | None,
    threads: int,
    report: Report,
    brought: bytes | None = None,
    retries: int = 0,
) -> Outcome:
    """Do what is missing of a run, here. `brought`: its folder as it was where the runs are collected, or None.

    A program that was killed is started again, at most `retries` times.
    """
    folder = run.cell.folder(run.seed, runs_dir, run.sample)
    if brought is not None:
        _take(brought, run, folder)
    here, code, log, stopped = _settled(replace(run, folder=folder), runs_dir), 0, "", [False]

    def asked() -> bool:
        stopped[0] = report(progress(here))
        return stopped[0]

    for left in reversed(range(retries + 1)):
        if here.state == DONE:
            break
        try:
            code = do(here, data_dir, environment_of(threads, data_dir), asked)
        except RecordError as error:  # another runner has it
            return Outcome(0, str(error), None)
        log = end_of_log(folder) if code else ""
        if code >= 0 or not left or stopped[0]:
            break
        here = _settled(here, runs_dir)
    return Outcome(code, log, pack(folder) if folder != run.folder else None)


def _take(brought: bytes, run: Run, folder: Path) -> None:
    """The folder as it was brought, where it is further than what an earlier try left here."""
    if not folder.exists():
        return unpack(brought, folder)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.brought-") as beside:
        unpack(brought, Path(beside))
        further = progress(replace(run, folder=Path(beside))) > progress(replace(run, folder=folder))
    if further:
        unpack(brought, folder)
    return None


def _settled(run: Run, runs_dir: Path) -> Run:
    """Where the run stands here, once nobody writes it any more."""
    began = time.monotonic()
    while True:
        found = state_of(run.cell, run.seed, runs_dir, run.sample)
        if found.state != RUNNING or time.monotonic() - began > LOCK_SECONDS:
            return found
        time.sleep(POLL_SECONDS)


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
