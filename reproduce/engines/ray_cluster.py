"""Runs commands on a Ray cluster: one task a run, with the GPUs and cores that its cell needs."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from common.children import end_with_parent
from common.errors import UsageError
from common.ray_cluster import ray_started, sentence
from reproduce.cells import ROOT
from reproduce.engines.progress_line import ProgressLine, share_of
from reproduce.engines.ray_worker import Outcome, pack, unpack, work
from reproduce.runs import Run

POLL_SECONDS = 0.5
STOP_SECONDS = 120.0  # for programs to save their state


class Board:
    """Where the tasks say how far they are, and read whether to stop. Lives in an actor."""

    def __init__(self) -> None:
        self._steps: dict[str, int] = {}
        self._stopping = False

    def report(self, name: str, steps: int) -> bool:
        """A run is that far; returns whether it is to stop."""
        self._steps[name] = steps
        return self._stopping

    def read(self) -> dict[str, int]:
        """The steps of every run that has begun."""
        return self._steps

    def stop(self) -> None:
        """From now on every run is told to stop."""
        self._stopping = True


@dataclass
class RayEngine:
    """As many runs at a time as the cluster's GPUs and cores allow, or `jobs`.

    `address`: of a running cluster, or None for one on this machine. `worker_dir`: a folder on the workers' own disks,
    where these do not share the folder of runs; results are then brought back. Every node has the repository in the
    same place, with its environments. A run whose worker dies resumes elsewhere, at most `retries` times: from its
    checkpoint where that can be reached, else from the start.
    """

    address: str | None
    jobs: int | None
    cpus: int
    retries: int
    data_dir: Path | None = None
    runs_dir: Path = ROOT / "runs"
    worker_dir: Path | None = None
    use_gpus: bool = True

    def run(self, runs: list[Run]) -> list[Run]:
        """Do the runs; returns those that failed. KeyboardInterrupt lets every run save its state first."""
        if not runs:
            return []
        if find_spec("ray") is None:
            raise UsageError(
                "--engine ray needs the environment of PyTorch, which has Ray: `make env-pytorch`, then"
                " `.venv/pytorch/bin/python -m reproduce …`, or ENGINE=ray with make"
            )
        with ray_started(self.address) as ray:
            self._check_resources(runs, [node["Resources"] for node in ray.nodes() if node["Alive"]])
            self._line, self._done = ProgressLine(runs), 0
            self._board = _board_here(ray)
            return self._run(ray, runs)

    def _run(self, ray: Any, runs: list[Run]) -> list[Run]:
        waiting, tasks, failed, ended = list(runs), dict[Any, Run](), list[Run](), list[str]()
        try:
            while waiting or tasks:
                while waiting and len(tasks) < (self.jobs or len(runs)):
                    run = waiting.pop(0)
                    tasks[self._submit(ray, run)] = run
                ready, _ = ray.wait(list(tasks), timeout=POLL_SECONDS)
                for task in ready:
                    run = tasks.pop(task)
                    ended.append(run.name)
                    if not self._collect(ray, task, run, len(runs)):
                        failed.append(run)
                if self._line.due():
                    steps = ray.get(self._board.read.remote())
                    begun = {run.name: share_of(run, steps[run.name]) for run in tasks.values() if run.name in steps}
                    self._line.show(ended, begun)
        except KeyboardInterrupt:
            self._stop(ray, tasks, len(runs))
            raise
        return failed

    def _submit(self, ray: Any, run: Run) -> Any:
        gpus = run.cell.gpus if self.use_gpus else 0
        options = {"num_cpus": self.cpus, "num_gpus": gpus, "max_retries": self.retries, "name": run.name}
        brought = pack(run.folder) if self.worker_dir and run.folder.exists() else None
        runs_dir = self.worker_dir or self.runs_dir
        task = ray.remote(_work).options(**options)
        return task.remote(run, runs_dir, self.data_dir, self.cpus, self._board, brought, self.retries)

    def _collect(self, ray: Any, task: Any, run: Run, total: int) -> bool:
        self._done += 1
        try:
            outcome: Outcome = ray.get(task)
        except ray.exceptions.RayError as error:
            self._line.say(f"{self._done}/{total} FAILED: {run.name}: {_reason(ray, error)}")
            return False
        if outcome.folder is not None:
            unpack(outcome.folder, run.folder)
        if outcome.code:
            self._line.say(
                f"{self._done}/{total} FAILED: {run.name}, exit code {outcome.code}; its end:\n{outcome.log}"
            )
        else:
            said = f"skipped {run.name}: {outcome.log}" if outcome.log else f"done: {run.name}"
            self._line.say(f"{self._done}/{total} {said}")
        return not outcome.code

    def _stop(self, ray: Any, tasks: dict[Any, Run], total: int) -> None:
        """Runs that have begun save their state, the others are not begun."""
        begun = ray.get(self._board.read.remote())
        for task, run in list(tasks.items()):
            if run.name not in begun:
                ray.cancel(task)
                del tasks[task]
        self._line.say(f"stopping {len(tasks)} runs; each saves its state first")
        ray.get(self._board.stop.remote())
        ready, _ = ray.wait(list(tasks), num_returns=len(tasks), timeout=STOP_SECONDS) if tasks else ([], [])
        for task in ready:
            with contextlib.suppress(ray.exceptions.RayError):  # what a worker that died has saved stays where it is
                outcome = ray.get(task)
                if outcome.folder is not None:
                    unpack(outcome.folder, tasks[task].folder)

    def _check_resources(self, runs: list[Run], nodes: list[dict[str, float]]) -> None:
        gpus = max(run.cell.gpus for run in runs) if self.use_gpus else 0
        if not any(node.get("CPU", 0) >= self.cpus and node.get("GPU", 0) >= gpus for node in nodes):
            there = " and ".join(sorted({f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in nodes}))
            raise UsageError(
                f"a run needs {self.cpus} CPU and {gpus} GPU of one node, those of the cluster have {there}; see "
                "--cpus_per_run, and --force to run without GPUs"
            )


def _work(
    run: Run, runs_dir: Path, data_dir: Path | None, threads: int, board: Any, brought: bytes | None, retries: int
) -> Outcome:
    """The task."""
    end_with_parent(os.getppid())  # Ray's node: a runner that is started again would wait for this process
    return work(run, runs_dir, data_dir, threads, _Messenger(board, run.name), brought, retries)


def _board_here(ray: Any) -> Any:
    """A board on the node of this process: elsewhere it would be lost with its node, and every run with it."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    always = {"max_restarts": -1, "max_task_retries": -1}  # what it knows is told again
    return ray.remote(Board).options(num_cpus=0, scheduling_strategy=here, **always).remote()


class _Messenger:
    """Tells the board how far a run is; says what the board answered to the message before.

    It never waits for an answer: Ray would take the task's cores for idle meanwhile and begin another one on them.
    """

    def __init__(self, board: Any, name: str) -> None:
        self._board, self._name, self._answer, self._stopping = board, name, None, False

    def __call__(self, steps: int) -> bool:
        if self._answer is not None and self._answer.done():
            self._stopping, self._answer = self._answer.result(), None
        if self._answer is None:
            self._answer = self._board.report.remote(self._name, steps).future()
        return self._stopping


def _reason(ray: Any, error: Exception) -> str:
    """Why a task failed: what Ray says first, or what was raised in the task itself, without the way there."""
    cause = getattr(error, "cause", None)
    if isinstance(error, ray.exceptions.RayTaskError) and cause is not None:
        return f"{type(cause).__name__}: {sentence(cause)}"
    return sentence(error)
