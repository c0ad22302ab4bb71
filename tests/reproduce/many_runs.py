"""Run folders of cells that were never run, written fast: what a thousand finished runs leave behind."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.records.config_text import config_hash, format_config
from common.records.result_schema import validate_result
from reproduce.cells import Cell

METRICS = ("accuracy/test", "accuracy/train", "loss/train_clean", "loss/train_noisy", "loss/test", "learningrate")


def write_runs(cells: Iterable[Cell], seeds: Iterable[int], runs_dir: Path, evaluations: int = 40) -> int:
    """A finished record of every stage of every run of these cells; returns how many runs there are."""
    sharing: dict[Path, list[tuple[Cell, int, str]]] = {}
    for cell in cells:
        for sample in cell.samples:
            for seed in seeds:
                sharing.setdefault(cell.folder(seed, runs_dir, sample), []).append((cell, seed, sample))
    for folder, users in sharing.items():
        cell, seed, sample = users[0]
        metrics = {one.metric: _accuracy(one, seed, sample) for one, _, _ in users}
        for place, stage in enumerate(cell.stages):
            write_record(folder / (stage.subfolder or "a run"), cell, place, seed, sample, metrics, evaluations)
        (folder / "log.txt").write_text(
            "".join(f"epoch {k} of 300, loss {1 / (k + 1):.4f}, {seed}\n" for k in range(30))
        )
    return len(sharing)


def write_record(
    folder: Path, cell: Cell, place: int, seed: int, sample: str, metrics: dict[str, float], evaluations: int
) -> None:
    """config.yml, metrics.jsonl and result.json."""
    folder.mkdir(parents=True)
    command = cell.commands(seed, folder, sample)[place]
    steps = max(evaluations, cell.stages[place].steps)
    config: dict[str, Any] = {f"setting_{k}": k * 0.5 for k in range(40)} | {"seed": seed, "cell": cell.id}
    draw = random.Random(f"{cell.id} {seed} {sample} {place}")
    lines = []
    for k in range(1, evaluations + 1):
        grown = (1 - math.exp(-4 * k / evaluations)) * next(iter(metrics.values()))
        values = {name: grown + draw.gauss(0, 0.01) for name in METRICS}
        lines.append(json.dumps({"step": steps * k // evaluations, "epoch": float(k), **values}))
    result = {
        "schema_version": 1,
        "run_id": f"{cell.sub_project}-{config_hash(config)[:12]}-seed{seed}",
        "sub_project": cell.sub_project,
        "command": command,
        "config_hash": config_hash(config),
        "seed": seed,
        "metrics": metrics,
        "metrics_step": steps,
        "best_on_test": {},
        "dataset": {
            "name": cell.data[0],
            "version": "1",
            "fingerprint": hashlib.sha256(cell.data[0].encode()).hexdigest(),
        },
        "git": {"commit": "1" * 40, "dirty": False},
        "environment_lock": "2" * 64,
        "libraries": {"numpy": "1.26.4"},
        "python": "3.11.7",
        "device": "NVIDIA V100",
        "world_size": 1,
        "wall_seconds": 5000.0 + draw.random(),
        "peak_memory_bytes": 2**31,
        "finished": True,
        "notes": {},
    }
    validate_result(result)
    (folder / "config.yml").write_text(format_config(config))
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")


def _accuracy(cell: Cell, seed: int, sample: str) -> float:
    draw = random.Random(f"{cell.id} {seed} {sample}")
    if not cell.references:
        return 0.5 + draw.gauss(0, 0.01)
    known = cell.references[0]
    return min(1.0, max(0.0, draw.gauss(known.value, (known.std or 0.5) * 1.5) / 100))
