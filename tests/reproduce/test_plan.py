"""The plan is a to-do list with totals: GPU time, disk, downloads."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.registry import load_registry
from reproduce import plan
from reproduce.cells import load_tables
from reproduce.cli import main
from reproduce.downloads import MADE_FROM, to_fetch
from reproduce.runs import DONE, FOREIGN, INTERRUPTED, MISSING, RUNNING, Run


def test_totals_count_a_shared_run_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "--runs_dir", str(tmp_path), "--seeds", "123", "--table"]
    assert main([*words, "sln-sigma"]) == 0
    text = capsys.readouterr().out
    assert "All 4 runs: 4 missing" in text
    assert "  GPU time    30 GPU-hours (measured on one V100, the published runs)" in text
    assert "  disk        1 GB of run folders" in text


def test_a_run_costs_what_is_left_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = load_tables()["ieg-cifar10"].cells[0]
    states = (MISSING, INTERRUPTED, RUNNING, DONE, FOREIGN)
    runs = [Run(cell, seed, "", Path(), state) for seed, state in enumerate(states)]
    assert [run.state for run in plan.to_do(runs)] == [MISSING, INTERRUPTED]
    monkeypatch.setattr(plan, "progress", lambda run: run.cell.steps // 4)
    left = cell.steps - cell.steps // 4
    hours, days = cell.cost.gpu_hours * left / cell.steps, cell.cost.cpu_step_seconds * left / (24 * 3600)
    assert plan.gpu_cost(runs[:2]) == f"{2 * hours:,.0f} GPU-hours ({cell.cost.basis})"
    assert plan.cpu_cost(runs[:2]).startswith(f"{2 * days:,.0f} days ")
    assert hours > 1 and days > 1


def test_what_is_to_be_fetched(tmp_path: Path) -> None:
    assert to_fetch(["digits"], tmp_path) == "nothing"
    assert to_fetch(["shapes-textures"], tmp_path) == "nothing"
    assert to_fetch(["cifar10", "sln-noise", "cifar10"], tmp_path) == "172 MB: cifar10 170 MB, sln-noise 2 MB"
    text = to_fetch(["imagenet100", "imagenet100-texture"], tmp_path)
    assert text.count("imagenet ") == 1 and "(by hand)" in text
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").touch()
    assert to_fetch(["cifar10"], tmp_path) == "nothing"


def test_every_data_set_that_a_cell_needs_is_known() -> None:
    needed = {name for table in load_tables().values() for cell in table.cells for name in cell.data}
    assert {MADE_FROM.get(name, name) for name in needed} <= set(load_registry())


def test_every_cell_of_a_paper_says_what_it_leaves_on_the_disk() -> None:
    assert all(cell.cost.disk_gb > 0 for table in load_tables().values() for cell in table.cells)
