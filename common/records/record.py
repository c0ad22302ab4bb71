"""The record of one run: config.yml, metrics.jsonl and result.json in a folder. Standard library only.

Every sub-project writes its runs through this module and the tables are read back through it, so a number in a table
can be followed to its command, its configuration, its data and its code.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.machine import machine
from common.records.config_text import config_hash, format_config, run_id
from common.records.provenance import environment_lock, git_state, peak_memory
from common.records.record_files import (
    CONFIG,
    METRICS,
    RESULT,
    check_result_goes_with,
    check_same_config,
    check_same_data,
    read_metrics,
    read_result,
)
from common.records.result_schema import SCHEMA_VERSION, seal, validate_result
from common.storage.files import atomic_write, check_places
from common.storage.locks import LOCK, take_lock


class RunRecord:
    """Writes one run's folder. `begin`, then `log` at every evaluation, then `finish` (or `interrupted`).

    `config` holds what decides the numbers, not where files are: a run folder that was moved is still the same run.
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
            "run_id": run_id(sub_project, digest, seed),
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
            "machine": machine(),
            "world_size": world_size,
            "wall_seconds": 0.0,
            "peak_memory_bytes": 0,
            "finished": False,
            "notes": {},
        }
        validate_result(self._result)

    def begin(self, resume_step: int = 0, saved: bool | None = None, outputs: Iterable[str] = ()) -> None:
        """Open the folder for a run that continues after `resume_step` (0: from scratch).

        Lines of metrics.jsonl after that step belong to work that will be done again and are cut off, so a resumed run
        leaves the same file as one that was never interrupted. Time spent so far, repeated work included, is kept.
        saved: whether there is a saved state to resume from, whose last line in metrics.jsonl is that of `resume_step`;
        None: that is not known here. outputs: see `check_places`.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        check_places(self.folder, (CONFIG, METRICS, RESULT, LOCK, *outputs))
        self._lock = take_lock(self.folder)
        for leftover in self.folder.glob(".*.tmp"):  # of a process that was killed while it wrote
            if not leftover.is_dir():
                leftover.unlink()
        check_same_config(self.folder, self.config)
        earlier = read_result(self.folder) if (self.folder / RESULT).exists() else None
        if earlier:
            check_result_goes_with(self.folder, earlier, self._result["config_hash"])
            if saved is not False:
                check_same_data(self.folder, self._result["dataset"])
        self._cut_metrics(resume_step, saved)
        atomic_write(self.folder / CONFIG, format_config(self.config))
        if earlier:
            self._carry_over(earlier)
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
        """Write the complete result. `best_on_test` is kept for the record and never enters a table."""
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
        commits = earlier["notes"].get("earlier_commits")
        commits = commits if isinstance(commits, list) else []
        if earlier["git"] != self._result["git"]:
            commits = [*commits, earlier["git"]]
        if commits:  # a result that two versions of the code worked on says so
            self._result["notes"] = {"earlier_commits": commits}

    def _cut_metrics(self, resume_step: int, saved: bool | None) -> None:
        path = self.folder / METRICS
        there = read_metrics(self.folder) if path.exists() else []
        kept = [line for line in there if resume_step > 0 and line["step"] <= resume_step]
        self._last_step = int(kept[-1]["step"]) if kept else -1
        if saved is False and there:
            logging.warning(
                "%s holds evaluations up to step %d, but there is no checkpoint to resume from: training starts from "
                "the beginning and writes them again; if the checkpoints are elsewhere, stop now and bring them back",
                path,
                there[-1]["step"],
            )
        elif saved and resume_step > max(0, self._last_step):
            logging.warning(
                "%s ends at step %d, but the run was evaluated up to step %d: these evaluations are lost and its curve "
                "will have a hole; if the file is elsewhere, stop now and bring it back",
                path,
                max(0, self._last_step),
                resume_step,
            )
        text = "".join(json.dumps(line, sort_keys=True) + "\n" for line in kept)
        before = path.read_text(encoding="utf-8") if path.exists() else None
        if text != before and (saved or before is not None):
            atomic_write(path, text)

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


class NullRecord:
    """The record of a process that does not lead: a RunRecord that writes nothing."""

    def _ignore(self, *_: Any, **__: Any) -> None:
        pass

    begin = log = finish = interrupted = _ignore


AnyRecord = RunRecord | NullRecord
