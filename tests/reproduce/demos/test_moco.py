"""The demo of moco_nonsem, a tiny one through its command line, and the shipped one's settings."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reproduce.cells import DEMO, ROOT, Table, load_tables
from reproduce.cli import main
from reproduce.demo_cells import prepare
from reproduce.demos import moco as demo_moco
from reproduce.runs import DONE, MISSING, Run, runs_of

PYTORCH = ROOT / ".venv" / "pytorch" / "bin" / "python"
METRICS = {"agreeing": "in100", "conflicting": "cue_conflict", "by_texture": "cue_texture", "shape_bias": "shape_bias"}
TINY = {
    "pretrain": {"image-size": 16, "epochs": 1, "batch-size": 16, "bn-splits": 2, "moco-k": 32, "moco-dim": 16},
    "lincls": {"image-size": 16, "epochs": 1, "batch-size": 32, "schedule": [1]},
    "eval": {"image-size": 16},
}


def content() -> dict:
    return yaml.safe_load(DEMO.read_text(encoding="utf-8"))


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """The demo's own file with small images, few of them, one epoch and two seeds."""
    found = content()
    program, table = found["programs"]["moco"], found["tables"]["demo-moco"]
    program["seeds"] = [0, 1]
    for name, flags in TINY.items():
        program["stages"][name]["flags"] |= flags
    program["stages"]["pretrain"]["steps"], program["stages"]["lincls"]["steps"] = 4, 2
    program["stages"]["lincls"]["flags"]["pretrained"] = "{pretrain}/checkpoint_0000.pth.tar"
    program["stages"]["eval"]["arguments"] = ["{lincls}/checkpoint_robust_0000.pth.tar"]
    table["rows"]["patch"]["flags"]["pretrain"]["patch-ratio"] = [3, 5]
    small = {"--size": 16, "--train": 64, "--val": 32, "--conflict": 32}
    words = (word.partition("=")[::2] for word in table["prepare"])
    table["prepare"] = [f"{name}={small.get(name, value)}" if value else name for name, value in words]
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(found, sort_keys=False))
    return path


def start(cells: Path, *more: str) -> subprocess.CompletedProcess[str]:
    folder = cells.parent
    places = {"cells": cells, "runs_dir": folder / "runs", "data_dir": folder / "images", "out": folder / "out"}
    words = [f"--{name}={place}" for name, place in places.items()]
    command = [sys.executable, "-m", "reproduce", "demo", "--table", "demo-moco", *words, *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


def expected_lines(numbers: dict[str, dict[str, list[float]]]) -> list[list[str]]:
    """The table's cells, made from each quantity's and method's values of the seeds, in percent."""
    lines = []
    for column, methods in numbers.items():
        name = demo_moco.QUANTITIES[column]
        for method, values in methods.items():
            spread = f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"
            lines.append([name, method, spread, str(len(values)), ", ".join(f"{value:.1f}" for value in values)])
        first, last = methods.values()
        gaps = [b - a for a, b in zip(first, last, strict=True)]
        spread = f"{statistics.mean(gaps):.1f} ± {statistics.stdev(gaps):.1f}"
        lines.append([name, "difference", spread, str(len(gaps)), ", ".join(f"{gap:+.1f}" for gap in gaps)])
    return lines


def table_lines(text: str) -> list[list[str]]:
    """The cells of the Markdown table's rows, without header and rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.slow
@pytest.mark.skipif(not PYTORCH.exists(), reason="the programs need the PyTorch environment; make env-pytorch")
def test_the_demo_makes_its_images_runs_every_stage_and_repeats_nothing(cells: Path) -> None:
    folder = cells.parent
    done = start(cells)
    assert done.returncode == 0, done.stderr
    assert "4 runs to do (0 of 4 already done or skipped)" in done.stderr
    records = {path: path.stat().st_mtime_ns for path in folder.glob("runs/moco_nonsem/*/*/*/result.json")}
    assert len(records) == 12 and len(list((folder / "images").rglob("*.png"))) == 128
    numbers: dict[str, dict[str, list[float]]] = {}
    for column, metric in METRICS.items():
        for row, method in (("none", "MoCo v2"), ("patch", "MoCo v2 + patch")):
            found = sorted(folder.glob(f"runs/moco_nonsem/demo-moco-{row}-*/seed_*/eval/result.json"))
            values = [100 * json.loads(path.read_text())["metrics"][metric] for path in found]
            numbers.setdefault(column, {})[method] = values
    assert table_lines((folder / "out" / "table.md").read_text()) == expected_lines(numbers)
    for name in ("table", "shape_and_texture", "images", "views", "similarity"):
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    for row in ("none", "patch"):
        (path,) = folder.glob(f"runs/moco_nonsem/demo-moco-{row}-*/seed_0/pretrain/config.yml")
        config = yaml.safe_load(path.read_text())
        assert (config["robust"], config["bn_parts"]) == (row, 2)

    again = start(cells)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "runs to do" not in again.stderr
    assert all(path.stat().st_mtime_ns == time for path, time in records.items())

    (gone,) = folder.glob("runs/moco_nonsem/demo-moco-patch-*/seed_1")
    shutil.rmtree(gone)
    third = start(cells)
    assert third.returncode == 0, third.stderr
    assert "1 runs to do (3 of 4 already done or skipped)" in third.stderr
    changed = {path for path, time in records.items() if path.stat().st_mtime_ns != time}
    assert len(changed) == 3 and all(path.is_relative_to(gone) for path in changed)
    assert third.stdout == done.stdout  # on a CPU the same numbers again


def finished(table: Table, folder: Path) -> tuple[list[Run], dict[str, dict[str, list[float]]]]:
    """Runs of three seeds with made-up numbers, and these in percent."""
    numbers: dict[str, dict[str, list[float]]] = {}
    runs = []
    for place, run in enumerate(runs_of(table.cells, None, folder)):
        value = (place * 37 % 100) / 100
        result = {"metrics": {METRICS[run.cell.column]: value}}
        runs.append(Run(run.cell, run.seed, run.sample, run.folder, DONE, result, run.folder / "eval"))
        numbers.setdefault(run.cell.column, {}).setdefault(run.cell.row, []).append(100 * value)
    return runs, {column: numbers[column] for column in METRICS}


def test_table_and_dots_of_made_up_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_moco, "pictures", lambda *_: [])
    table = prepare(load_tables(DEMO)["demo-moco"])
    runs, numbers = finished(table, tmp_path)
    text = demo_moco.summarise(table, runs, tmp_path / "out")
    assert table_lines(text) == expected_lines(numbers)
    assert "50 % of which have the texture of their class" in text and "no published number" in text
    dots = (tmp_path / "out" / "shape_and_texture.png").read_bytes()
    changed = [Run(**{**vars(run), "result": {"metrics": {METRICS[run.cell.column]: 0.5}}}) for run in runs]
    demo_moco.summarise(table, changed, tmp_path / "out")
    assert (tmp_path / "out" / "shape_and_texture.png").read_bytes() != dots


def test_the_demo_as_it_is_shipped() -> None:
    table = prepare(load_tables(DEMO)["demo-moco"])
    assert {cell.seeds for cell in table.cells} == {(0, 1, 2)}
    assert len({cell.run_name() for cell in table.cells}) == 2
    none, patch = (next(cell for cell in table.cells if cell.row == row) for row in table.rows)
    differing = {"robust": ("none", "patch"), "alpha": (None, 2), "patch-ratio": (None, [6, 11])}
    assert {name: (none.flags["pretrain"].get(name), patch.flags["pretrain"][name]) for name in differing} == differing
    assert set(patch.flags["pretrain"]) == set(differing)
    assert none.stages[1:] == patch.stages[1:] and none.stages[0].flags == patch.stages[0].flags
    assert none.stages[0].flags["bn-splits"] > 1
    epochs = none.stages[0].flags["epochs"]
    assert f"checkpoint_{epochs - 1:04}.pth.tar" in none.stages[1].flags["pretrained"]
    given = dict(word.split("=") for word in table.prepare if "=" in word)
    assert 0 < float(given["--agreement"]) < 1
    assert none.stages[0].steps == epochs * (int(given["--train"]) // none.stages[0].flags["batch-size"])


def test_images_that_cannot_be_made_are_told_before_any_run(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = yaml.safe_load(cells.read_text())
    found["tables"]["demo-moco"]["prepare"] = ["python", "-c", "import sys; sys.exit('error: no room')"]
    cells.write_text(yaml.safe_dump(found, sort_keys=False))
    assert main(["demo", "--table", "demo-moco", f"--cells={cells}", f"--runs_dir={cells.parent / 'runs'}"]) == 2
    assert "the images were not made" in capsys.readouterr().err
    runs = runs_of(load_tables(cells)["demo-moco"].cells, None, cells.parent / "runs")
    assert {run.state for run in runs} == {MISSING}


def test_a_dry_run_prints_how_the_images_are_made_and_the_chains(
    cells: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["demo", "--table", "demo-moco", f"--cells={cells}", f"--runs_dir={cells.parent / 'runs'}", "--dry_run"]
    assert main([*words, "--data_dir=/somewhere", "--seeds=5"]) == 0
    images, *chains = capsys.readouterr().out.splitlines()
    assert "preprocess.shapes_textures --path=/somewhere/shapes-textures-demo --size=16" in images
    assert [chain.count(" && ") for chain in chains] == [2, 2]
    assert all("moco-non-sem-neg /somewhere/shapes-textures-demo " in chain for chain in chains)
    assert not list(cells.parent.glob("runs/*"))
