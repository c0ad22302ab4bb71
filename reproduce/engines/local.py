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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from common.errors import RecordError
from common.locks import take_lock
from common.machine import cores
from reproduce.cells import ROOT
from reproduce.engines.progress_line import ProgressLine, share_of
from reproduce.runs import DONE, Run, progress, state_again

LOG, PROMPT = "log.txt", "$ "
POLL_SECONDS = 0.2
TAIL_LINES = 15
RETRIES = 2


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


def start(command: list[str], log: IO[bytes], environment: dict[str, str], data_dir: Path | None) -> subprocess.Popen:
    """Start a command from the root, what it says going to the log, below the command itself."""
    log.write(f"{PROMPT}{in_shell(command, data_dir)}\n".encode())
    log.flush()
    # A session of its own: Ctrl-C reaches the children once, from us, and not a second time from the terminal.
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def environment_of(threads: int, data_dir: Path | None, gpus: str | None = None) -> dict[str, str]:
    """The environment of a run: its share of the machine, and where the data are."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NUMBA_NUM_THREADS")
    environment.update(dict.fromkeys(names, str(threads)))
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpus
    if data_dir:
        environment["DATA_DIR"] = str(data_dir)
    return environment


def end_of_log(folder: Path) -> str:
    """The last lines of what a run's last command said, indented."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    begins = max((place for place, line in enumerate(lines) if line.startswith(PROMPT)), default=0)
    lines = lines[begins:]
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])


@dataclass
class _Job:
    run: Run
    waiting: list[list[str]]  # commands of the stages that come after the one that runs
    process: subprocess.Popen[bytes]
    gpus: list[str]
    log: IO[bytes]
    lock: int


@dataclass
class LocalEngine:
    """`jobs` runs at a time, each with its share of the cores and, where there are GPUs, those that its cell needs.

    A run whose program was killed, for want of memory say, goes on from its checkpoint, at most `retries` times.
    """

    jobs: int
    gpus: list[str]
    data_dir: Path | None = None
    retries: int = RETRIES
    _running: list[_Job] = field(default_factory=list)

    def run(self, runs: list[Run]) -> list[Run]:
        """Do the runs; returns those that failed. KeyboardInterrupt ends every child first, each saving its state."""
        self._line = ProgressLine(runs)
        waiting, ended, failed = list(runs), list[Run](), list[Run]()
        left = {run.name: self.retries for run in runs}
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.jobs and self._gpus_for(waiting[0]) is not None:
                    run = waiting.pop(0)
                    try:
                        self._start(run)
                    except RecordError as error:  # another runner has it
                        self._line.say(f"skipped {run.name}: {error}")
                for job in [job for job in self._running if job.process.poll() is not None]:
                    if job.waiting and not job.process.returncode:
                        job.process = self._process(job.waiting.pop(0), job.gpus, job.log)
                        continue
                    self._end(job)
                    again = state_again(job.run) if job.process.returncode < 0 and left[job.run.name] else job.run
                    if again is not job.run and again.state != DONE:
                        left[job.run.name] -= 1
                        self._line.say(f"killed: {job.run.name}, by signal {-job.process.returncode}; restarting it")
                        waiting.insert(0, again)
                        continue
                    ended.append(job.run)
                    if job.process.returncode:
                        failed.append(job.run)
                    self._report(job, len(ended), len(runs))
                if self._line.due():
                    running = {job.run.name: share_of(job.run, progress(job.run)) for job in self._running}
                    self._line.show([run.name for run in ended], running)
                time.sleep(POLL_SECONDS)
        except BaseException:
            self._stop()
            raise
        return failed

    def _start(self, run: Run) -> None:
        run.folder.mkdir(parents=True, exist_ok=True)
        lock = take_lock(run.folder)
        gpus = self._gpus_for(run) or []
        log = open(run.folder / LOG, "ab")  # noqa: SIM115 it stays open as long as the child runs
        command, *waiting = exact_commands(run, self.data_dir)[run.stages_done :]
        self._running.append(_Job(run, waiting, self._process(command, gpus, log), gpus, log, lock))

    def _process(self, command: list[str], gpus: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        environment = environment_of(max(1, cores() // self.jobs), self.data_dir, ",".join(gpus) if self.gpus else None)
        return start(command, log, environment, self.data_dir)

    def _gpus_for(self, run: Run) -> list[str] | None:
        """GPUs that nobody uses, as many as the run's cell needs or there are; None where it has to wait for them.

        More runs at a time than GPUs, if that was asked for, share them.
        """
        used = [gpu for job in self._running for gpu in job.gpus]
        needed = min(run.cell.gpus, len(self.gpus))
        free = sorted(self.gpus, key=used.count)[:needed]
        shared = any(gpu in used for gpu in free)
        return None if shared and (needed > 1 or self.jobs <= len(self.gpus)) else free

    def _end(self, job: _Job) -> None:
        self._running.remove(job)
        job.log.close()
        os.close(job.lock)

    def _stop(self) -> None:
        for job in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(job.process.pid, signal.SIGINT)
        if self._running:
            self._line.say(f"stopping {len(self._running)} runs; each saves its state first")
        for job in list(self._running):
            try:
                job.process.wait()
            except KeyboardInterrupt:  # asked twice: now at once, the programs' files are safe against that too
                os.killpg(job.process.pid, signal.SIGKILL)
                job.process.wait()
            self._end(job)

    def _report(self, job: _Job, done: int, total: int) -> None:
        if not job.process.returncode:
            self._line.say(f"{done}/{total} done: {job.run.name}")
            return
        log, code = job.run.folder / LOG, job.process.returncode
        text = f"FAILED: {job.run.name}, exit code {code}; the end of {log}:\n{end_of_log(job.run.folder)}"
        self._line.say(f"{done}/{total} {text}")
