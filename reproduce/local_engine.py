"""Runs commands on this machine, several at a time, and keeps an eye on all of them.

A run that was interrupted is resumed by its own command: the programs save their state and go on from it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from reproduce.cells import ROOT
from reproduce.errors import RecordError
from reproduce.machine import cores
from reproduce.provenance import take_lock
from reproduce.runs import Run, progress

LOG = "log.txt"
POLL_SECONDS = 0.2
SHOW_SECONDS = 2.0
TAIL_LINES = 15


def python_of(environment: str) -> str:
    """The environment's Python if it was built, else the one that runs this."""
    python = Path(".venv") / environment / "bin" / "python"
    return str(python) if (ROOT / python).exists() else sys.executable


def exact_commands(run: Run, data_dir: Path | None = None) -> list[list[str]]:
    """The commands of the run, one a stage, with the Python that will run them, to be started from the root."""
    folder = run.folder.relative_to(ROOT) if run.folder.is_relative_to(ROOT) else run.folder
    commands = run.cell.commands(run.seed, folder, run.sample, *([data_dir] if data_dir else []))
    return [started(command, run.cell.environment) for command in commands]


def started(command: Sequence[str], environment: str) -> list[str]:
    """A command of the cells file, with that environment's Python where it says `python`."""
    return [python_of(environment), *command[1:]] if command[0] == "python" else list(command)


def printable(run: Run, data_dir: Path | None) -> str:
    """One line to copy into a shell."""
    return " && ".join(in_shell(command, data_dir) for command in exact_commands(run, data_dir))


def in_shell(command: list[str], data_dir: Path | None) -> str:
    """The command as one would type it."""
    return (f"DATA_DIR={shlex.quote(str(data_dir))} " if data_dir else "") + shlex.join(command)


@dataclass
class _Job:
    run: Run
    waiting: list[list[str]]  # commands of the stages that come after the one that runs
    process: subprocess.Popen[bytes]
    slot: int
    log: IO[bytes]
    lock: int


@dataclass
class LocalEngine:
    """`jobs` runs at a time, each with its share of the cores and, where there are GPUs, a GPU of its own."""

    jobs: int
    gpus: list[str]
    data_dir: Path | None = None
    _running: list[_Job] = field(default_factory=list)
    _shown: str = ""

    def run(self, runs: list[Run]) -> list[Run]:
        """Do the runs; returns those that failed. KeyboardInterrupt ends every child first, each saving its state."""
        self._started, self._next_look = time.monotonic(), 0.0
        self._weights = {run.name: run.cell.steps * run.cell.cost.cpu_step_seconds for run in runs}
        self._before = {run.name: self._share(run) for run in runs}
        waiting, finished, failed = list(runs), list[Run](), list[Run]()
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.jobs:
                    run = waiting.pop(0)
                    try:
                        self._start(run)
                    except RecordError as error:  # another runner has it
                        self._say(f"skipped {run.name}: {error}")
                for job in [job for job in self._running if job.process.poll() is not None]:
                    if job.waiting and not job.process.returncode:
                        job.process = self._process(job.waiting.pop(0), job.slot, job.log)
                        continue
                    self._end(job)
                    (failed if job.process.returncode else finished).append(job.run)
                    self._report(job, len(finished) + len(failed), len(runs))
                self._show(finished + failed, runs)
                time.sleep(POLL_SECONDS)
        except BaseException:
            self._stop()
            raise
        return failed

    def _start(self, run: Run) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(run.folder)
        slot = min(set(range(self.jobs)) - {job.slot for job in self._running})
        log = open(run.folder / LOG, "ab")  # noqa: SIM115 it stays open as long as the child runs
        command, *waiting = exact_commands(run, self.data_dir)[run.stages_done :]
        self._running.append(_Job(run, waiting, self._process(command, slot, log), slot, log, lock))

    def _process(self, command: list[str], slot: int, log: IO[bytes]) -> subprocess.Popen[bytes]:
        log.write(f"$ {in_shell(command, self.data_dir)}\n".encode())
        log.flush()
        # A session of its own: Ctrl-C reaches the children once, from us, and not a second time from the terminal.
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment(slot),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _environment(self, slot: int) -> Mapping[str, str]:
        threads = str(max(1, cores() // self.jobs))
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NUMBA_NUM_THREADS")
        environment.update(dict.fromkeys(names, threads))
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[slot % len(self.gpus)]
        if self.data_dir:
            environment["DATA_DIR"] = str(self.data_dir)
        return environment

    def _end(self, job: _Job) -> None:
        self._running.remove(job)
        job.log.close()
        os.close(job.lock)

    def _stop(self) -> None:
        for job in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGINT)
        if self._running:
            self._say(f"stopping {len(self._running)} runs; each saves its state first")
        for job in list(self._running):
            try:
                job.process.wait()
            except KeyboardInterrupt:  # asked twice: now at once, the programs' files are safe against that too
                os.killpg(job.process.pid, signal.SIGKILL)
                job.process.wait()
            self._end(job)

    def _report(self, job: _Job, done: int, total: int) -> None:
        if not job.process.returncode:
            self._say(f"{done}/{total} done: {job.run.name}")
            return
        log = job.run.folder / LOG
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        indented = "\n".join(f"    {line}" for line in last)
        code = job.process.returncode
        self._say(f"{done}/{total} FAILED: {job.run.name}, exit code {code}; the end of {log}:\n{indented}")

    def _share(self, run: Run) -> float:
        return min(1.0, progress(run) / run.cell.steps)

    def _show(self, ended: list[Run], runs: list[Run]) -> None:
        """One line that is written over: what is done, what runs, how long it took and will take."""
        now = time.monotonic()
        if not sys.stderr.isatty() or now < self._next_look:
            return
        self._next_look = now + SHOW_SECONDS
        shares = {run.name: 1.0 for run in ended} | {job.run.name: self._share(job.run) for job in self._running}
        all_work = sum(weight * (1 - self._before[name]) for name, weight in self._weights.items())
        work = sum(self._weights[name] * (share - self._before[name]) for name, share in shares.items())
        elapsed = now - self._started
        left = f"about {clock(elapsed * (all_work - work) / work)} left" if work > 0 else "time left not known yet"
        doing = ", ".join(f"{job.run.name} {shares[job.run.name]:.0%}" for job in self._running)
        line = f"{len(ended)}/{len(runs)} runs, {clock(elapsed)} so far, {left}: {doing}"[:118]
        print(f"\r{line:<{len(self._shown)}}", end="", file=sys.stderr, flush=True)
        self._shown = line

    def _say(self, text: str) -> None:
        if self._shown:
            print("\r" + " " * len(self._shown) + "\r", end="", file=sys.stderr)
            self._shown = ""
        print(text, file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Seconds as 1:05 or 2:03:00."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
