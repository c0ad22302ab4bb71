"""Programs started as a user starts them, but in this process: a new one needs seconds for its imports alone."""

import runpy
import socket
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run_as_main(program: list[str], *arguments: str, cwd: Path = ROOT) -> int:
    """The exit code of `python <program> <arguments>` in `cwd`; program: ["-m", module], or [file] of that folder."""
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


def free_port() -> int:
    """A port of this machine that nothing listens on; each call gives another."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]
