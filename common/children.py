"""Child processes: they end with this process however that ends, and leave nothing of theirs behind.

Standard library only, and nothing of this repository: it is also the program that stands before a child's own.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO

DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux
POLL_SECONDS = 0.2
WATCH = "watch"


def tied(command: Sequence[str]) -> list[str]:
    """The command for `subprocess`, so that the program is killed when this process ends, also by kill -9.

    The thread that starts it has to outlive it: for the kernel that is its parent. A program that is not there ends
    with 127 and one sentence.
    """
    # Not preexec_fn, in which a process with threads may hang.
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *command]


def run(
    command: Sequence[str], log: IO[bytes], cwd: Path, environment: Mapping[str, str], asked: Callable[[], int]
) -> int:
    """Runs a command, tied, what it says going to `log`. Returns its exit code, -N where signal N killed it.

    asked: how often the user has asked for the end; the first time the command and its children get Ctrl-C, the second
    time they are killed, as when this raises. Of its process group, which is its own, nothing is left afterwards.
    """
    process = subprocess.Popen(
        tied(command),
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    told = False
    try:
        # WNOWAIT: until it is waited for, no other process gets its number, nor its group's.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            times = asked()
            if times > 1:
                break
            if times and not told:
                told = True
                os.killpg(process.pid, signal.SIGINT)
            time.sleep(POLL_SECONDS)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode


def output_of(
    command: Sequence[str], cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command, tied, to its end, and keeps what it says. None: as this process has it."""
    return subprocess.run(
        tied(command), cwd=cwd, env=environment, capture_output=True, encoding="utf-8", errors="replace"
    )


def end(processes: Sequence[BaseProcess], seconds: float) -> None:
    """Asks processes of multiprocessing to end (SIGTERM), and kills those that have not after so many seconds."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + seconds
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        process.kill()


def end_with_parent(parent: int | None = None) -> None:
    """In a child: from now on it is killed when the thread that started it is gone, or at once if it is gone already.

    parent: its process id; None: of the process that started this one with multiprocessing, if one did.
    """
    if parent is None:
        started_by = multiprocessing.parent_process()
        if started_by is None or started_by.pid is None:
            return
        parent = started_by.pid
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def taken_along(processes: Iterable[int]) -> Iterator[None]:
    """Kills processes that this one did not start itself at the exit from the context, or when this process ends."""
    words = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), WATCH, *map(str, processes)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True):  # the exit closes the pipe
        yield


def watch(processes: Sequence[int]) -> int:
    """Kills these processes once stdin is closed, which a process that is gone has done."""
    there = []
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            there.append(os.pidfd_open(process))  # of this very process, whoever has its number later
    sys.stdin.read()
    for one in there:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(one, signal.SIGKILL)
    return 0


def main(words: list[str]) -> int:
    """Becomes the program of words[1:], tied to the parent, whose process id is words[0]; or watches."""
    if words[0] == WATCH:
        return watch([int(word) for word in words[1:]])
    # What the parent ignores or blocks, Ray's workers Ctrl-C for one, the program would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    end_with_parent(int(words[0]))
    try:
        os.execvp(words[1], words[1:])
    except OSError as error:
        print(f"error: {words[1]} cannot be started: {error.strerror}", file=sys.stderr)
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
