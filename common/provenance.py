"""What a run record says of the process that writes it, and the lock that keeps a second process out.

Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

from common.errors import RecordError

LOCK = "run.lock"
ENVIRONMENT_STAMP = "lock.sha256"  # environments/build.py leaves it in the environment it built


def is_running(folder: str | os.PathLike[str]) -> bool:
    """Whether another process is writing this run at the moment."""
    try:
        descriptor = os.open(os.path.join(folder, LOCK), os.O_RDWR)  # asked thousands of times: a Path takes longer
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def take_lock(folder: Path) -> int:
    """Keep every other process from writing to this run folder; closing what this returns lets them again."""
    # A POSIX record lock: it ends with its process, even a killed one; forked workers that outlive it do not hold it.
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        os.close(descriptor)
        raise RecordError(f"{folder}: another process is writing this run; wait for it, or stop it first") from error
    return descriptor


def git_state() -> dict[str, Any]:
    """Commit of the code that runs and whether it was changed since; both None outside a repository."""

    def git(*arguments: str) -> str:
        root = str(Path(__file__).resolve().parent.parent)
        return subprocess.run(
            ["git", "-C", root, *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def environment_lock() -> str | None:
    """Hash of the lock this environment was built from; None where environments/build.py did not build it."""
    try:
        return (Path(sys.prefix) / ENVIRONMENT_STAMP).read_text(encoding="ascii").strip() or None
    except OSError:
        return None


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes."""
    # getrusage would also count the parent's memory at the moment of the fork; the kernel's own mark does not.
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
