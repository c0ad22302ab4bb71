"""What is left of a piece's program when the piece is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from reproduce.cells import ROOT
from reproduce.gpu.programs import STOPPED, end_of, run_program

PIECE = """
import sys
from pathlib import Path
from reproduce.gpu.programs import run_program
run_program([sys.executable, "-c", sys.argv[2]], Path(sys.argv[1]), 60.0)
"""
PROGRAM = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_a_killed_piece_takes_its_program_along(tmp_path: Path) -> None:
    log, until = tmp_path / "log", time.monotonic() + 30
    piece = subprocess.Popen([sys.executable, "-c", PIECE, str(log), PROGRAM], cwd=ROOT)
    while not end_of(log).isdecimal() and time.monotonic() < until:
        time.sleep(0.02)
    program = int(end_of(log))
    piece.send_signal(signal.SIGKILL)
    piece.wait()
    while os.path.exists(f"/proc/{program}") and time.monotonic() < until:
        time.sleep(0.02)
    assert not os.path.exists(f"/proc/{program}")


def test_a_program_whose_time_is_over_is_asked_to_stop(tmp_path: Path) -> None:
    asked = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('saved'))); time.sleep(60)"
    )
    assert run_program([sys.executable, "-c", asked], tmp_path / "log", 1.0) == STOPPED
    assert end_of(tmp_path / "log") == "saved"
    assert run_program([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log", 30.0) == 3
