from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reproduce.cells import load_tables

ROOT = Path(__file__).resolve().parents[2]
NAMED = [
    "demo",
    "test",
    "test-slow",
    "env-tensorflow",
    "env-pytorch",
    "data-<name>",
    "reproduce-ieg-cifar10",
    "reproduce-ieg-cifar100",
    "reproduce-sln-cifar10",
    "reproduce-sln-cifar100",
    "reproduce-sln-sigma",
    "reproduce-sln-sigma-ablation",
    "reproduce-sln-animal10n",
    "reproduce-moco-imagenet100",
    "reproduce-moco-imagenet100-ifm",
    "bench",
    "bench-ieg",
    "tables",
    "lint",
    "format",
    "lock",
    "clean",
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The Makefile and what it needs at once, in a folder whose name holds a space."""
    folder = tmp_path / "a place"
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copytree(ROOT / "environments", folder / "environments")
    shutil.copytree(ROOT / "reproduce" / "cells", folder / "reproduce" / "cells")
    return folder


def make(place: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    outer = (
        "MAKEFLAGS",
        "MAKELEVEL",
        "MFLAGS",
        "SEEDS",
        "ENGINE",
        "JOBS",
        "DRY_RUN",
        "FORCE",
        "RUNS_DIR",
        "DATA_DIR",
        "PYTHON",
    )
    kept = {name: value for name, value in os.environ.items() if name not in outer}
    return subprocess.run(["make", *words], cwd=place, env={**kept, **environment}, capture_output=True, text=True)


def fake_python(folder: Path, version: str, modules: str = "") -> Path:
    """A Python that says it is another version, or that lacks modules."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import sys, importlib.util\n"
        f"sys.version_info = ({version}, 0, 'final', 0)\n"
        "find = importlib.util.find_spec\n"
        f"absent = {modules.split()}\n"
        "importlib.util.find_spec = lambda name, package=None: None if name in absent else find(name, package)\n"
    )
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def test_make_alone_lists_every_target_with_a_line(place: Path) -> None:
    done = make(place)
    assert done.returncode == 0
    listed = dict(re.findall(r"^  (\S+) +(\S.*)$", done.stdout, re.MULTILINE))
    targets = set(re.findall(r"^([a-z][a-z0-9%-]*):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    targets |= {f"reproduce-{name}" for name in load_tables()}
    assert {name.replace("<name>", "%") for name in listed} == targets - {"python"}
    assert set(NAMED) <= set(listed)
    assert "80 % wrong labels" in listed["demo"]
    assert not (place / ".venv").exists()


def test_another_python_is_told_at_once(place: Path, tmp_path: Path) -> None:
    done = make(place, "demo", f"PYTHON={fake_python(tmp_path / 'old python', '3, 9, 1')}")
    assert done.returncode == 2
    assert re.search(
        r"error: this is Python 3\.9 .* need Python 3\.11\..* make PYTHON=/path/to/python3\.11", done.stderr
    )
    assert not (place / ".venv").exists()


def test_no_python_at_all_is_told(place: Path) -> None:
    done = make(place, "env-pytorch", "PYTHON=/no/such/python")
    assert done.returncode == 2
    assert "there is no /no/such/python" in done.stderr
    assert "PYTHON=/path/to/python3.11" in done.stderr
    assert "uv python install 3.11" in done.stderr and "conda create -n py311 python=3.11" in done.stderr


def test_the_python_of_uv_is_found_where_the_system_has_none(place: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "sh", "awk", "make", "env"):
        (tools / name).symlink_to(shutil.which(name))  # type: ignore[arg-type]
    (tools / "uv").write_text('#!/bin/sh\n[ "$*" = "python find 3.11" ] && echo /found/by/uv\n')
    (tools / "uv").chmod(0o755)
    assert '"/found/by/uv" environments/build.py' in make(place, "-n", "env-pytorch", PATH=str(tools)).stdout
    assert '"/mine" environments/build.py' in make(place, "-n", "env-pytorch", "PYTHON=/mine", PATH=str(tools)).stdout


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_missing_venv_module_is_told(place: Path, tmp_path: Path, module: str) -> None:
    done = make(place, "env-tensorflow", f"PYTHON={fake_python(tmp_path / 'python', '3, 11, 7', module)}")
    assert done.returncode == 2
    assert f"has no module '{module}'" in done.stderr
    assert "apt install python3.11-venv" in done.stderr


def test_variables_become_flags(place: Path) -> None:
    words = ("SEEDS=0,1", "ENGINE=local", "JOBS=2", "DRY_RUN=1", "FORCE=1")
    line = make(place, "-n", "reproduce-ieg-cifar100", *words).stdout.splitlines()[-1]
    assert line.split(" -m ")[1].split() == (
        [
            "reproduce",
            "run",
            "--table",
            "ieg-cifar100",
            "--seeds",
            '"0,1"',
            "--jobs",
            '"2"',
            "--dry_run",
            "--engine",
            '"local"',
            "--force",
        ]
    )
    line = make(place, "-n", "reproduce-ieg-cifar10", "DRY_RUN=0").stdout.splitlines()[-1]
    assert line.split(" -m ")[1].split() == ["reproduce", "run", "--table", "ieg-cifar10"]
    lines = make(place, "-n", "reproduce-fsr-longtail", "SEEDS=1").stdout.splitlines()
    tables = [line.split("--table ")[1].split()[0] for line in lines if "--table" in line]
    assert tables == ["fsr-longtail-cifar10", "fsr-longtail-cifar100"]
    line = make(place, "-n", "reproduce-sln-sigma", "SEEDS=123").stdout.splitlines()[-1]
    assert line.rstrip() == '.venv/pytorch/bin/python -m reproduce run --table sln-sigma --seeds "123"'
    line = make(place, "-n", "demo-moco", "SEEDS=0,1", "JOBS=2", "DRY_RUN=1").stdout.splitlines()[-1]
    flags = ["--seeds", '"0,1"', "--jobs", '"2"', "--dry_run"]
    assert line.split(" -m ")[1].split() == ["reproduce", "demo", "--table", "demo-moco", *flags]


def test_the_noise_comes_with_the_images(place: Path) -> None:
    assert 'data fetch "cifar10" sln-noise' in make(place, "-n", "data-cifar10").stdout
    assert 'data fetch "cifar100" sln-noise' in make(place, "-n", "data-cifar100").stdout
    assert 'data fetch "animal-10n" \n' in make(place, "-n", "data-animal-10n").stdout


def test_no_machine_and_no_index_stands_in_the_frame() -> None:
    files = [ROOT / "Makefile", ROOT / "pyproject.toml", ROOT / ".ci" / "run", *(ROOT / "environments").glob("*.*")]
    for file in files:
        text = file.read_text()
        assert not re.search(r"https?://|(?<!emit-)(index-url|find-links)|/home/|/root/|/work/|/opt/", text), file


@pytest.mark.parametrize("lock", sorted((ROOT / "environments").glob("*.txt")), ids=lambda path: path.stem)
def test_locks_pin_every_package_with_hashes_and_hold_every_direct_dependency(lock: Path) -> None:
    source = {"tensorflow-cpu": "tensorflow", "tensorflow-gpu": "tensorflow"}.get(lock.stem, lock.stem)
    text = lock.read_text()
    pinned = re.findall(
        r"^([A-Za-z0-9_.-]+)(?:\[[a-z-]+\])?==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE
    )
    assert len(pinned) == len(re.findall(r"^[^\s#]", text, re.MULTILINE))
    wanted = re.findall(r"^([A-Za-z][A-Za-z0-9_-]*)\S* +#", (lock.parent / f"{source}.in").read_text(), re.MULTILINE)
    wanted += ["tensorflow-cpu"] * (lock.stem == "tensorflow-cpu") + ["tensorflow"] * (lock.stem == "tensorflow-gpu")
    assert {name.lower() for name in wanted} <= {name for name, _ in pinned}
    for line in (lock.parent / f"{source}.in").read_text().splitlines():
        assert not line or line.startswith("#") or " # " in line or line == "pip", f"{line}: a reason is missing"
