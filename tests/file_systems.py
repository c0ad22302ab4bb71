"""File systems that are not ext4, made of what the kernel's calls answer in this process; and real small ones."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
Answer = Callable[..., Any]


def refusing(
    patch: pytest.MonkeyPatch, module: Any, name: str, code: int, when: Callable[..., bool] | None = None
) -> list:
    """The call fails with `code` from now on, or only `when` its arguments say so. Returns the list of such calls."""
    real, calls = getattr(module, name), []

    def call(*arguments: Any, **options: Any) -> Any:
        if when is None or when(*arguments):
            calls.append(arguments)
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    patch.setattr(module, name, call)
    return calls


def without_locks(patch: pytest.MonkeyPatch, code: int = errno.ENOSYS) -> list:
    """flock and lockf are refused. Returns the list of calls."""
    from common.storage import locks

    patch.setattr(locks, "_told", [])
    return [refusing(patch, fcntl, name, code) for name in ("flock", "lockf")][1]


def without_sync_of_folders(patch: pytest.MonkeyPatch, code: int = errno.EINVAL) -> list:
    """fsync of a folder is refused. Returns the list of calls."""
    return refusing(patch, os, "fsync", code, lambda descriptor: os.path.isdir(f"/proc/self/fd/{descriptor}"))


def read_only(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Nobody may write to `folder`."""
    real = os.access
    patch.setattr(os, "access", lambda path, mode: not (mode & os.W_OK and path == folder) and real(path, mode))


def full_after(patch: pytest.MonkeyPatch, files: int, code: int = errno.ENOSPC) -> None:
    """The disk is full when so many files have been written, as fsync says."""
    left = [files]

    def fails(_descriptor: int) -> bool:
        left[0] -= 1
        return left[0] < 0

    refusing(patch, os, "fsync", code, fails)


def can_mount() -> bool:
    """Whether this user may mount a small file system of its own."""
    return subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode == 0


def check_full_disk(disk: Path, size: str, program: str) -> None:
    """That a program whose files do not fit on `disk`, a real one, says so in one sentence."""
    disk.mkdir()
    done = on_small_disk(disk, size, f'"$PYTHON" -m {program}')
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "the disk is full (No space left on device)" in done.stderr.splitlines()[-1]


def on_small_disk(folder: Path, size: str, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a Bash script where `folder` is an empty file system of that size, which is gone afterwards."""
    if not can_mount():
        pytest.skip("no mounts are allowed here")
    mounted = f"mount -t tmpfs -o size={size} tmpfs '{folder}' && {script}"
    shell = {**os.environ, "PYTHON": sys.executable, "FOLDER": str(folder), **environment}
    return subprocess.run(
        ["unshare", "-rm", "bash", "-c", mounted], cwd=ROOT, env=shell, capture_output=True, text=True, timeout=120
    )
