"""Many processes over many small tasks: bounded, stoppable, and gone when their parent is."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from common.children import end_with_parent
from common.errors import WorkFailed

Task = TypeVar("Task")
Result = TypeVar("Result")


def results(work: Callable[[Task], Result], tasks: Iterable[Task], jobs: int, stopped: list[int]) -> Iterator[Result]:
    """work(task) of every task in the order in which they get done; with one job, here and in order.

    stopped: once there is anything in it, what was begun is ended and nothing is begun. `work` is a function of a
    module. Raises: WorkFailed where a process dies.
    """
    if jobs == 1:
        for task in tasks:
            if stopped:
                return
            yield work(task)
        return
    queue = iter(tasks)
    # Spawned, not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_become_worker) as pool:
        running: set[Future[Result]] = {pool.submit(work, task) for task in islice(queue, 4 * jobs)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                if stopped:
                    running = {future for future in running if not future.cancel()}
                else:
                    running |= {pool.submit(work, task) for task in islice(queue, len(done))}
                for future in done:
                    yield future.result()
        except BrokenProcessPool as error:
            raise WorkFailed(
                "a worker process was killed, perhaps for lack of memory; run the command with fewer --jobs to resume"
            ) from error
        finally:
            for future in running:
                future.cancel()


def _become_worker() -> None:
    """Leaves the signals that ask for the end to the parent; ends with it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()
