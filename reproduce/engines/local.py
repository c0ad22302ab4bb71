"""Runs commands on this machine, several at a time.

A run that was interrupted is resumed by its own command: the programs save their state and resume from it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from common.errors import RecordError
from common.machine import cores
from reproduce.engines.commands import LOG, do, end_of_log, environment_of
from reproduce.engines.progress_line import ProgressLine, share_of
from reproduce.runs import DONE, Run, progress, state_again

POLL_SECONDS = 0.2
RETRIES = 2


@dataclass
class LocalEngine:
    """`jobs` runs at a time, each with its share of the cores and, where there are GPUs, those that its cell needs.

    A run whose program was killed, for want of memory say, resumes from its checkpoint, at most `retries` times.
    """

    jobs: int
    gpus: list[str]
    data_dir: Path | None = None
    retries: int = RETRIES
    _running: dict[str, tuple[Run, list[str]]] = field(default_factory=dict)  # by name: with its GPUs
    _change: threading.Condition = field(default_factory=threading.Condition)
    _said: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    _asked: int = 0

    def run(self, runs: list[Run]) -> list[Run]:
        """Do the runs; returns those that failed. KeyboardInterrupt ends every child first, each saving its state."""
        line = ProgressLine(runs)
        self._asked, self._waiting, self._ended, self._failed = 0, list(runs), list[Run](), list[Run]()
        count = max(1, min(self.jobs, len(runs)))
        pool = ThreadPoolExecutor(count)
        servers = [pool.submit(self._serve, len(runs)) for _ in range(count)]
        try:
            while not all(server.done() for server in servers) or not self._said.empty():
                with contextlib.suppress(queue.Empty):
                    line.say(self._said.get(timeout=POLL_SECONDS))
                if line.due():
                    running = {run.name: share_of(run, progress(run)) for run, _ in list(self._running.values())}
                    line.show([run.name for run in list(self._ended)], running)
        except BaseException:
            self._ask()
            if self._running:
                line.say(f"stopping {len(self._running)} runs; each saves its state first")
            try:
                wait(servers)
            except KeyboardInterrupt:  # asked twice: now at once, the programs' files are safe against that too
                self._ask()
            raise
        finally:
            pool.shutdown()
        for server in servers:
            server.result()
        return self._failed

    def _ask(self) -> None:
        with self._change:
            self._asked += 1
            self._change.notify_all()

    def _serve(self, total: int) -> None:
        """One run after the other, as long as there are any."""
        while found := self._next():
            run, gpus = found
            code: int | None = 1
            try:
                code = self._do(run, ",".join(gpus) if self.gpus else None)
            finally:
                with self._change:
                    del self._running[run.name]
                    self._ended += [run] if code is not None else []
                    self._failed += [run] if code else []
                    done = len(self._ended)
                    self._change.notify_all()
            if code:
                text = f"FAILED: {run.name}, exit code {code}; the end of {run.folder / LOG}:\n{end_of_log(run.folder)}"
                self._said.put(f"{done}/{total} {text}")
            elif code == 0:
                self._said.put(f"{done}/{total} done: {run.name}")

    def _next(self) -> tuple[Run, list[str]] | None:
        """The first of the waiting runs that there are GPUs for, with these; None once all are begun."""
        with self._change:
            while self._waiting and not self._asked:
                for run in self._waiting:
                    gpus = self._gpus_for(run)
                    if gpus is not None:
                        self._waiting.remove(run)
                        self._running[run.name] = run, gpus
                        return run, gpus
                self._change.wait()
        return None

    def _do(self, run: Run, gpus: str | None) -> int | None:
        """The exit code of a run; None where another runner does it."""
        environment = environment_of(max(1, cores() // self.jobs), self.data_dir, gpus)
        for left in reversed(range(self.retries + 1)):
            try:
                code = do(run, self.data_dir, environment, lambda: self._asked)
            except RecordError as error:
                self._said.put(f"skipped {run.name}: {error}")
                return None
            again = state_again(run) if code < 0 else run
            if code >= 0 or not left or self._asked or again.state == DONE:
                return 0 if again.state == DONE else code
            self._said.put(f"killed: {run.name}, by signal {-code}; restarting it")
            run = again
        return code

    def _gpus_for(self, run: Run) -> list[str] | None:
        """GPUs that nobody uses, as many as the run's cell needs or there are; None where it has to wait for them.

        More runs at a time than GPUs, if that was asked for, share them.
        """
        used = [gpu for _, gpus in self._running.values() for gpu in gpus]
        needed = min(run.cell.gpus, len(self.gpus))
        free = sorted(self.gpus, key=used.count)[:needed]
        shared = any(gpu in used for gpu in free)
        return None if shared and (needed > 1 or self.jobs <= len(self.gpus)) else free
