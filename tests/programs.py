"""Programs started as a user starts them, and what they left behind."""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run_as_main(program: list[str], *arguments: str, cwd: Path = ROOT) -> int:
    """The exit code of `python <program> <arguments>` in `cwd`; program: ["-m", module], or [file] of that folder.

    In this process: a new one needs seconds for its imports alone.
    """
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        patch.chdir(cwd)
        patch.setattr(sys, "argv", [program[-1], *arguments])
        patch.setattr(sys, "path", [str(cwd), *sys.path])
        try:
            if program[0] == "-m":
                runpy.run_module(program[1], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(str(cwd / program[0]), run_name="__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
    raise AssertionError(f"{program[-1]} does not end with an exit code")


def start(program: list[str], *arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.Popen:
    """The same in a process of its own, with one thread."""
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def metrics_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def result_of(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def stop_in_step(patch: pytest.MonkeyPatch, trainer: type, number: int, error: Exception | None = None) -> None:
    """The user stops the program, once, while the trainer does that step; or the step fails."""
    original = trainer.update  # type: ignore[attr-defined]

    def update(self: Any, *arguments: Any) -> None:
        if self.step + 1 == number:
            patch.setattr(trainer, "update", original)
            if error:
                raise error
            signal.raise_signal(signal.SIGINT)
        original(self, *arguments)

    patch.setattr(trainer, "update", update)


def free_port() -> int:
    """A port of this machine that nothing listens on; each call gives another."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]
