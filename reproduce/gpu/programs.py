"""Programs that are given so many seconds, and are then asked to save and stop."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from common.children import tied
from common.paths import repo_root

STOPPED = 130
GRACE = 25.0  # seconds to save


def run_program(command: Sequence[str], log: Path, allowed: float) -> int:
    """The exit code of a command, which is started at the root; STOPPED where its time was over first."""
    with open(log, "ab") as file:
        file.write(f"$ {shlex.join(command)}\n".encode())
        file.flush()
        # A session of its own: a Ctrl-C reaches it through us, once. Tied: the next piece would find its run in use.
        process = subprocess.Popen(
            tied(command), cwd=repo_root(), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        try:
            return process.wait(allowed)
        except subprocess.TimeoutExpired:
            _stop(process)
            return STOPPED
        except KeyboardInterrupt:
            _stop(process)
            raise


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_of(log: Path) -> str:
    """The last line that a program wrote."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "it wrote nothing")
