"""Starts a program again and again without its imports: a process that has them already is forked for each.

What is forked runs `python -m MODULE …` as Python itself would, in a session of its own; only the first second or two,
Python's start and the imports of a framework, are left out. python -m tests.torture.fork_server FRAMEWORK reads a line
of JSON for each start, {words, errors, environment}, and answers with the process id, and with the exit code when it
has ended.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOADED = {
    "tensorflow": ("tensorflow", "numba", "matplotlib.figure", "ieg.experiment"),
    "pytorch": (
        "torch.distributed", "torchvision", "torch.utils.tensorboard", "matplotlib.figure",
        "re_sln.training.experiment", "moco_nonsem.pretraining.run",
    ),
}  # fmt: skip


class ForkServer:
    """The asking side. One program at a time."""

    def __init__(self, framework: str, environment: dict[str, str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.fork_server", framework],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def start(self, words: list[str], errors: str, environment: dict[str, str]) -> int:
        """Returns: the process id. errors: the file that stderr goes to."""
        assert self._server.stdin is not None
        request = {"words": words, "errors": errors, "environment": environment}
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        return int(self._line())

    def ended(self, seconds: float) -> int | None:
        """The exit code of the program that was started last, -N after signal N; None while it runs."""
        assert self._server.stdout is not None
        return int(self._line()) if select.select([self._server.stdout], [], [], max(0.0, seconds))[0] else None

    def _line(self) -> bytes:
        assert self._server.stdout is not None
        if not (line := self._server.stdout.readline()):
            raise RuntimeError(f"the fork server ended with {self._server.wait()}")
        return line

    def close(self) -> None:
        """Ends the server."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()


def serve(framework: str) -> None:
    """Answers until stdin is closed."""
    for module in LOADED[framework]:
        importlib.import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        process = os.fork()
        if not process:
            become(**request)
        print(process, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)


def become(words: list[str], errors: str, environment: dict[str, str]) -> None:
    """The program `python -m MODULE …` of the words; does not return."""
    os.setsid()
    for number, place in enumerate((os.devnull, os.devnull, errors)):
        os.dup2(os.open(place, os.O_RDWR | os.O_APPEND), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    os.environ.update(environment)
    sys.argv = words[1:]
    code: Any = 1
    try:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        code = stop.code or 0
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    with contextlib.suppress(Exception):
        end_as_python_does()
    os._exit(code if isinstance(code, int) else 1)


def end_as_python_does() -> None:
    """What has to be done at the end of a process: worker processes and threads, files."""
    import atexit
    import threading

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stderr.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
