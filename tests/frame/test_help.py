"""`--help` of every program answers at once: it imports no framework."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("benchmarks", "data", "ieg", "moco_nonsem", "preprocess", "re_sln", "reproduce")
SECONDS = 1.0  # of CPU time, which other processes do not change as they change wall time

# Runs a program as `python` does. A framework is stopped where it is looked for: whether it is installed or not, and
# though the program may catch an ImportError.
WATCHED = """
import os, runpy, sys
class Watch:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in {"keras", "matplotlib", "numba", "ray", "sklearn", "tensorflow", "torch", "torchvision"}:
            raise RuntimeError(f"--help imports {name}")
sys.meta_path.insert(0, Watch)
kind, program = sys.argv[1:]
sys.argv = [program, "--help"]
if kind == "module":
    runpy.run_module(program, run_name="__main__", alter_sys=True)
else:
    sys.path[0] = os.getcwd()
    runpy.run_path(program, run_name="__main__")
"""


def programs() -> list[tuple[str, str]]:
    """("module", its name) of all that is started by `python -m`, and ("file", path) of what is a script as well."""
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            source, place = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
            if 'if __name__ == "__main__":' not in source:
                continue
            module = ".".join(place.with_suffix("").parts).removesuffix(".__main__")
            found.append(("module", module))
            if "if __package__ in (None" in source:
                found.append(("file", str(place)))
    return found


@pytest.mark.parametrize(("kind", "program"), programs())
def test_help_comes_at_once_and_without_a_framework(kind, program):
    folder = ROOT if kind == "module" else (ROOT / program).parent
    name = program if kind == "module" else Path(program).name
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, kind, name], cwd=folder, capture_output=True, text=True, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS


def test_every_program_is_found():
    found = set(programs())
    assert {("module", "ieg.main"), ("module", "data"), ("file", "moco_nonsem/moco-non-sem-neg.py")} <= found
    assert {"re_sln.train_cifar", "preprocess.webvision_mini", "benchmarks.sln"} <= {name for _, name in found}
    assert len(found) > 40
