"""environments/build.py killed at a random moment: the next one builds a whole environment, or finds one."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

from tests.torture.two_at_once import ended, forked, load_builder

FILES = 40  # that a step leaves, one after the other


def builder(root: Path) -> ModuleType:
    """The builder, with locks in `root` and steps that write small files."""
    module = load_builder()

    def step(command: list[str], *_: object) -> None:
        folder = Path(command[-1] if "venv" in command else command[0]).absolute()
        if "venv" in command:
            (folder / "bin").mkdir(parents=True)
            (folder / "bin" / "python").symlink_to(sys.executable)
        else:
            folder = folder.parents[1]
        for number in range(FILES):
            (folder / f"{len(command)}_{number}").write_text("part of it")
            time.sleep(0.0005)

    vars(module).update(run=step, ROOT=root, has_gpu=lambda: False)
    (root / "environments").mkdir(parents=True, exist_ok=True)
    for name in ("bootstrap", "tensorflow-cpu", "tensorflow-gpu", "pytorch"):
        (root / "environments" / f"{name}.txt").write_text("# nothing to install\n")
    return module


def whole(root: Path, name: str) -> bool:
    """Whether the environment has its stamp and every file of every step."""
    folder = root / "a home" / name
    lock = root / "environments" / ("tensorflow-cpu.txt" if name == "tensorflow" else f"{name}.txt")
    stamp, parts = folder / "lock.sha256", list(folder.glob("*_*"))
    there = stamp.is_file() and stamp.read_text().strip() == hashlib.sha256(lock.read_bytes()).hexdigest()
    return there and len(parts) == 3 * FILES and not list(folder.glob("*.tmp"))


def campaign(seed: int, count: int, seconds: float) -> dict:
    """`count` kills; see tests.torture.campaigns."""
    end, counts, failures, rng = time.monotonic() + seconds, Counter[str](), list[str](), random.Random(seed)
    with tempfile.TemporaryDirectory() as place:
        root, said = Path(place, "a place"), Path(place, "said")
        module = builder(root)
        for number in range(count):
            if time.monotonic() > end:
                break
            name = rng.choice(("tensorflow", "pytorch"))
            words = [name, "--home", str(root / "a home")]
            if rng.random() < 0.7:  # the lock has changed, so there is work to do
                for lock in (root / "environments").glob("*.txt"):
                    lock.write_text(f"# {number}\n")
            child = forked(module.main, words, said, 0.0)
            time.sleep(rng.uniform(0, 0.15))
            os.kill(child, signal.SIGKILL)
            killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
            counts["killed" if killed else "ended before"] += 1
            codes = ended([forked(module.main, words, said, 0.0)])
            if codes != [0] or not whole(root, name):
                failures.append(f"kill {number} of {name}: then {codes}, {said.read_text()[-500:]}")
    return {"counts": dict(counts), "failures": failures}
