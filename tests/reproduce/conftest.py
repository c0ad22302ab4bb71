from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml


def cells_content(**flags: Any) -> dict[str, Any]:
    """A small cells file for the fake program; `flags` are those of its one table."""
    return {
        "programs": {
            "ieg": {
                "command": ["python", "-m", "tests.reproduce.fake_program"],
                "environment": "tensorflow",
                "folder_flag": "checkpoint_path",
                "path_flags": {"DATA_DIR": ["dataset_dir"], "RUNS_DIR": ["run_dir"]},
                "seeds": [0, 1, 2],
                "steps": 4,
            }
        },
        "costs": {"small": {"gpu_hours": 2.0, "basis": "estimated", "cpu_step_seconds": 1.0, "cpu_basis": "estimated"}},
        "tables": {
            "small": {
                "title": "A small table",
                "columns_are": "noise ratio",
                "program": "ieg",
                "metric": "accuracy",
                "needs": {"data": ["cifar10"], "gpus": 1},
                "published": ["ieg", "uniform_noise", "cifar10"],
                "source": "paper",
                "flags": flags,
                "columns": {"0": {"dataset": "cifar10"}, "0.8": {"dataset": "cifar10_uniform_0.8"}},
                "rows": {"a": {"label": "IEG wrn28-10 10/class", "cost": "small", "flags": {"method": "ieg"}}},
            }
        },
    }


@pytest.fixture
def write_cells(tmp_path: Path) -> Callable[..., Path]:
    def write(**flags: Any) -> Path:
        path = tmp_path / "cells.yaml"
        path.write_text(yaml.safe_dump(cells_content(**flags), sort_keys=False))
        return path

    return write


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests say themselves whether there is a GPU."""
    monkeypatch.setattr("reproduce.commands.run.gpus", list)
    for name in ("RUNS_DIR", "DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
