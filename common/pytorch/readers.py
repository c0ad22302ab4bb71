"""Worker processes that read batches ahead of training: room for them, and an end that is told. Needs torch."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing.queues import Queue
from typing import Any

import torch
from torch.utils.data import DataLoader

from common.children import end_with_parent
from common.errors import RESUME, ProcessLost, WorkFailed

SHARED = "/dev/shm"  # where torch's workers leave their batches
AHEAD = 2  # batches that a worker may have ready: torch's own default
LOST = f"a process that reads images was killed, perhaps for lack of memory; {RESUME}"


def way_out(flag: str, size: str) -> str:
    """How to have more shared memory, or to need none."""
    return f"in a container, start it with --shm-size={size} (docker's default is 64m), or read without them: {flag}"


FULL = f"{SHARED} is full; {way_out('-j 0 or --workers=0', '8g')}; {RESUME}"


def become_reader(_worker: int) -> None:
    """For a worker of a DataLoader: it leaves Ctrl-C to the training process, and ends with it.

    A batch that cannot be sent ends it, too: torch's own queue would print a traceback and wait for ever.
    """
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to every process
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
    Queue._on_queue_feeder_error = staticmethod(_not_sent)  # type: ignore[attr-defined]
    sys.excepthook = _not_fetched


def _not_fetched(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    # The thread that hands out batches tells so of a process that was killed while it fetched one.
    if not isinstance(error, (OSError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def _not_sent(error: Exception, _batch: Any) -> None:
    os._exit(errno.ENOSPC if "shared memory" in str(error) else 1)


def batches_of(loader: DataLoader) -> Iterator:
    """What the loader gives. Raises: ProcessLost, WorkFailed where shared memory is full."""
    before = set(multiprocessing.active_children())
    iterator = iter(loader)
    workers = set(multiprocessing.active_children()) - before
    while True:
        try:
            batch = next(iterator)
        except StopIteration:
            return
        except (RuntimeError, OSError, EOFError) as error:
            # Where it was killed after it had sent a batch, it is the batch that cannot be fetched any more.
            codes = {worker.exitcode for worker in workers} - {None, 0}
            if codes & {errno.ENOSPC, -signal.SIGBUS}:
                raise WorkFailed(FULL) from None
            if codes or lost_reader(error):
                raise lost_reader(error) or ProcessLost(LOST) from None
            raise
        yield batch


def lost_reader(error: BaseException) -> WorkFailed | None:
    """What to say of an error of torch's, raised in whatever the main thread was doing, over a worker that is gone."""
    text = str(error)
    if not isinstance(error, RuntimeError) or not text.startswith("DataLoader worker (pid"):
        return None
    full = f"exit code {errno.ENOSPC}" in text or "Bus error" in text
    return WorkFailed(FULL) if full else ProcessLost(LOST)


def check_room(batch: Any, factor: float, workers: int, processes: int, flag: str) -> None:
    """Whether the batches that workers read ahead fit into shared memory.

    batch: one, or a part whose size times `factor` is a whole one's; workers: of one process; processes: training ones
    on this machine; flag: with which no workers are started. Raises: WorkFailed.
    """
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return
    # One more is being trained on.
    own = int(size_of(batch) * factor * (AHEAD * workers + 1)) if workers else 0
    if own > found.f_bavail * found.f_frsize or own * processes > found.f_blocks * found.f_frsize:
        free = found.f_bavail * found.f_frsize
        raise WorkFailed(
            f"{SHARED} has {free / 2**20:.0f} MB free, and {workers} reading processes"
            f"{f' of each of {processes} processes' if processes > 1 else ''} need {own * processes / 2**20:.0f} MB "
            f"there; "
            f"{way_out(flag, f'{-(-3 * own * processes // 2**31)}g')}, or take a smaller batch"
        )


def size_of(content: Any) -> int:
    """Bytes of the tensors in tuples, lists, mappings and data classes."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    if isinstance(content, dict):
        return sum(map(size_of, content.values()))
    if isinstance(content, (list, tuple)):
        return sum(map(size_of, content))
    return sum(map(size_of, vars(content).values())) if hasattr(content, "__dict__") else 0
