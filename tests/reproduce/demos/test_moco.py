"""The demo of moco_nonsem with tiny settings, its programs and all: images, chains, page, and nothing twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from common.results.tables import mean, sample_std
from reproduce.cells import ROOT
from reproduce.cells.files import CLAIMS
from reproduce.commands.run import CLAIMS_OF

PYTORCH = ROOT / ".venv" / "pytorch" / "bin" / "python"
TINY = {
    "pretrain": {"image-size": 16, "epochs": 1, "batch-size": 16, "bn-splits": 2, "moco-k": 32, "moco-dim": 16},
    "lincls": {"image-size": 16, "epochs": 1, "batch-size": 32, "schedule": [1]},
    "eval": {"image-size": 16},
}


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """The claims' file with small images, few of them, one epoch and two seeds."""
    found = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    program, table = found["programs"]["moco"], found["tables"]["claims-moco"]
    program["seeds"] = [0, 1]
    for name, flags in TINY.items():
        program["stages"][name]["flags"] |= flags
    program["stages"]["lincls"]["flags"]["pretrained"] = "{pretrain}/checkpoint_0000.pth.tar"
    program["stages"]["eval"]["arguments"] = ["{lincls}/checkpoint_robust_0000.pth.tar"]
    table["rows"]["patch"]["flags"]["pretrain"]["patch-ratio"] = [3, 5]
    small = {"--size": 16, "--train": 64, "--val": 32, "--conflict": 32}
    words = (word.partition("=")[::2] for word in table["prepare"])
    table["prepare"] = [f"{name}={small.get(name, value)}" if value else name for name, value in words]
    found["claims"] = {name: found["claims"][name] for name in CLAIMS_OF["demo-moco"]}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(found, sort_keys=False))
    return path


def start(cells: Path) -> subprocess.CompletedProcess[str]:
    folder = cells.parent
    places = {"cells": cells, "runs_dir": folder / "runs", "data_dir": folder / "images", "out": folder / "out"}
    words = [f"--{name}={place}" for name, place in places.items()]
    command = [sys.executable, "-m", "reproduce", "demo", "--table", "demo-moco", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
@pytest.mark.skipif(not PYTORCH.exists(), reason="the programs need the PyTorch environment; make env-pytorch")
def test_the_demo_makes_its_images_runs_every_stage_and_repeats_nothing(cells: Path) -> None:
    folder = cells.parent
    done = start(cells)
    assert done.returncode == 0, done.stderr
    assert "4 runs to do (0 of 4 already done or skipped)" in done.stderr
    records = {path: path.stat().st_mtime_ns for path in folder.glob("runs/moco_nonsem/*/*/*/result.json")}
    assert len(records) == 12 and list((folder / "images").rglob("*.png"))
    text = " ".join((folder / "out" / "README.md").read_text().split())
    for row, method in (("none", "MoCo v2"), ("patch", "MoCo v2 + patch, α 2")):
        found = sorted(folder.glob(f"runs/moco_nonsem/claims-moco-{row}-small-*/seed_*/eval/result.json"))
        values = [100 * json.loads(path.read_text())["metrics"]["cue_conflict"] for path in found]
        assert f"| {method} {mean(values):.1f} ± {sample_std(values):.1f} |" in text
    for name in CLAIMS_OF["demo-moco"]:
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")

    again = start(cells)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "runs to do" not in again.stderr
    assert all(path.stat().st_mtime_ns == time for path, time in records.items())

    (gone,) = folder.glob("runs/moco_nonsem/claims-moco-patch-small-*/seed_1")
    shutil.rmtree(gone)
    third = start(cells)
    assert third.returncode == 0, third.stderr
    assert "1 runs to do (3 of 4 already done or skipped)" in third.stderr
    changed = {path for path, time in records.items() if path.stat().st_mtime_ns != time}
    assert len(changed) == 3 and all(path.is_relative_to(gone) for path in changed)
    assert third.stdout == done.stdout  # on a CPU the same numbers again
