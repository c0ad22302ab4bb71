"""The commands of a run, as they are printed and as they are started on the machine that does it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common import children
from common.storage.locks import take_lock
from reproduce.cells import ROOT
from reproduce.runs import Run

LOG, PROMPT = "log.txt", "$ "
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


def in_shell(command: list[str], data_dir: Path | None) -> str:
    """The command as one would type it."""
    return (f"DATA_DIR={shlex.quote(str(data_dir))} " if data_dir else "") + shlex.join(command)


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


def do(run: Run, data_dir: Path | None, environment: dict[str, str], asked: Callable[[], int]) -> int:
    """Do the stages of a run that are missing, here, each below its command in the run's log. Returns the exit code.

    asked: how often the user has asked for the end, see `children.run`. Raises: RecordError where another does the run.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    lock, code = take_lock(run.folder), 0
    try:
        with open(run.folder / LOG, "ab") as log:
            for command in exact_commands(run, data_dir)[run.stages_done :]:
                log.write(f"{PROMPT}{in_shell(command, data_dir)}\n".encode())
                log.flush()
                code = children.run(command, log, ROOT, environment, asked)
                if code or asked():
                    break
    finally:
        os.close(lock)
    return code


def end_of_log(folder: Path) -> str:
    """The last lines of what a run's last command said, indented."""
    try:
        lines = (folder / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    begins = max((place for place, line in enumerate(lines) if line.startswith(PROMPT)), default=0)
    lines = lines[begins:]
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
