"""The record of one run: config.yml, metrics.jsonl and result.json in a folder. Standard library only.

Every sub-project writes its runs through this module and the tables are read back through it, so a number in a table
can be followed to its command, its configuration, its data and its code.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reproduce.command_line import flag, make_parser, underscored
from reproduce.config_text import config_hash, format_config, parse_config
from reproduce.errors import RecordError
from reproduce.files import atomic_path, atomic_write
from reproduce.provenance import environment_lock, git_state, is_running, peak_memory, take_lock
from reproduce.result_schema import SCHEMA_VERSION, seal, validate_result
from reproduce.stopping import stop_signals

__all__ = [
    "RecordError",
    "RunRecord",
    "atomic_path",
    "atomic_write",
    "config_hash",
    "flag",
    "format_config",
    "is_running",
    "make_parser",
    "parse_config",
    "read_config",
    "read_metrics",
    "read_result",
    "stop_signals",
    "underscored",
    "validate_result",
]

CONFIG, METRICS, RESULT = "config.yml", "metrics.jsonl", "result.json"


class RunRecord:
    """Writes one run's folder. `begin`, then `log` at every evaluation, then `finish` (or `interrupted`).

    `config` holds what decides the numbers, not where files lie: a run folder that was moved is still the same run.
    `environment` is the hash of the environment's lock; left out, it is read from the environment that is running.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        sub_project: str,
        command: list[str],
        config: Mapping[str, Any],
        seed: int,
        dataset: Mapping[str, str],
        device: str,
        world_size: int,
        libraries: Mapping[str, str],
        environment: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.config = dict(config)
        digest = config_hash(self.config)
        self._last_step = -1
        self._lock: int | None = None
        self._started = time.monotonic()
        self._seconds_before = 0.0
        self._result: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "run_id": f"{sub_project}-{digest[:12]}-seed{seed}",
            "sub_project": sub_project,
            "command": list(command),
            "config_hash": digest,
            "seed": seed,
            "metrics": {},
            "metrics_step": None,
            "best_on_test": {},
            "dataset": dict(dataset),
            "git": git_state(),
            "environment_lock": environment or environment_lock(),
            "libraries": dict(libraries),
            "python": platform.python_version(),
            "device": device,
            "world_size": world_size,
            "wall_seconds": 0.0,
            "peak_memory_bytes": 0,
            "finished": False,
            "notes": {},
        }
        validate_result(self._result)

    def begin(self, resume_step: int = 0) -> None:
        """Open the folder for a run that goes on after `resume_step` (0: from scratch).

        Lines of metrics.jsonl after that step belong to work that will be done again and are cut off, so a resumed run
        leaves the same file as one that was never interrupted. Time spent so far, repeated work included, is kept.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self.folder)
        for leftover in self.folder.glob(".*.tmp"):  # of a process that was killed while it wrote
            leftover.unlink()
        self._check_same_config()
        atomic_write(self.folder / CONFIG, format_config(self.config))
        self._cut_metrics(resume_step)
        if (self.folder / RESULT).exists():
            self._carry_over(read_result(self.folder))
        self._started = time.monotonic()
        self._write()

    def log(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Append one evaluation to metrics.jsonl, safely on disk before this returns. No clock: runs must repeat."""
        if step <= self._last_step:
            raise RecordError(f"metrics of step {step} after those of step {self._last_step}; steps must rise")
        line: dict[str, float] = {"step": int(step), "epoch": float(epoch)}
        for name, value in values.items():
            if name in line:
                raise RecordError(f"metric {name!r} at step {step}: 'step' and 'epoch' are taken, choose another name")
            line[name] = float(value)
        for name, value in line.items():
            if not math.isfinite(value):
                raise RecordError(f"{name} = {value} at step {step}; a metric must be a finite number")
        with open(self.folder / METRICS, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._last_step = step
        self._write()

    def finish(
        self,
        metrics: Mapping[str, float],
        metrics_step: int,
        best_on_test: Mapping[str, Mapping[str, float]],
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the complete result. `best_on_test` is kept for the record and never stands in a table."""
        self._result["notes"] = {**self._result["notes"], **(notes or {})}
        self._result.update(
            metrics={name: float(value) for name, value in metrics.items()},
            metrics_step=metrics_step,
            best_on_test={name: dict(best) for name, best in best_on_test.items()},
            finished=True,
        )
        self._write()
        self._release()

    def interrupted(self) -> None:
        """Keep the time and memory used so far; the run stays visibly unfinished."""
        self._write()
        self._release()

    def _write(self) -> None:
        self._result["wall_seconds"] = round(self._seconds_before + time.monotonic() - self._started, 3)
        self._result["peak_memory_bytes"] = max(self._result["peak_memory_bytes"], peak_memory())
        validate_result(self._result)
        sealed = {**self._result, "seal": seal(self._result)}
        atomic_write(self.folder / RESULT, json.dumps(sealed, indent=2, allow_nan=False) + "\n")

    def _carry_over(self, earlier: dict[str, Any]) -> None:
        self._seconds_before = earlier["wall_seconds"]
        self._result["peak_memory_bytes"] = earlier["peak_memory_bytes"]
        commits = earlier["notes"].get("earlier_commits", [])
        if earlier["git"] != self._result["git"]:
            commits = [*commits, earlier["git"]]
        if commits:  # a result that two versions of the code worked on says so
            self._result["notes"] = {"earlier_commits": commits}

    def _check_same_config(self) -> None:
        if not (self.folder / CONFIG).exists():
            return
        there = read_config(self.folder)
        if config_hash(there) == config_hash(self.config):
            return
        here = parse_config(format_config(self.config))
        keys = [key for key in sorted({*there, *here}) if there.get(key, "absent") != here.get(key, "absent")]
        shown = "; ".join(
            f"{key}: {there.get(key, 'absent')!r} there, {here.get(key, 'absent')!r} here" for key in keys[:3]
        )
        raise RecordError(
            f"{self.folder} holds a run with another configuration ({shown or 'types differ'}"
            f"{'; …' if len(keys) > 3 else ''}); choose another folder, or move that one away"
        )

    def _cut_metrics(self, resume_step: int) -> None:
        path = self.folder / METRICS
        if not path.exists():
            return
        kept = [line for line in read_metrics(self.folder) if resume_step > 0 and line["step"] <= resume_step]
        self._last_step = int(kept[-1]["step"]) if kept else -1
        text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in kept)
        if text != path.read_text(encoding="utf-8"):
            atomic_write(path, text)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def read_result(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """result.json of a run folder, checked; a RecordError names the file and the field that is wrong."""
    path = os.path.join(folder, RESULT)  # read by the thousand: a Path takes longer
    try:
        with open(path, encoding="utf-8") as file:
            result = json.load(file)
        validate_result(result)
    except (OSError, ValueError, RecordError) as error:
        raise RecordError(f"{path}: {error}") from error
    return result


def read_metrics(folder: str | os.PathLike[str]) -> list[dict[str, float]]:
    """The evaluations of a run in order of their steps; a last line that was only half written is left out."""
    path = Path(folder) / METRICS
    lines = []
    complete, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            line = json.loads(text)
            if not isinstance(line, dict) or not isinstance(line.get("step"), int):
                raise ValueError("a line is a mapping with an integer 'step'")
        except ValueError as error:
            raise RecordError(f"{path}, line {number}: {text[:80]!r} is no evaluation ({error})") from error
        lines.append(line)
    return lines


def read_config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """config.yml of a run folder."""
    return parse_config((Path(folder) / CONFIG).read_text(encoding="utf-8"))
