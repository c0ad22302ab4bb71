"""Runs the trials of a search with Ray Tune, as many at a time as there is room for."""

from __future__ import annotations

import os
import shutil
import traceback
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Any

from common.children import end_with_parent
from common.errors import NonFiniteLoss, UsageError, WorkFailed
from common.machine import cores
from common.pytorch.readers import lost_reader
from common.storage.files import atomic_write
from re_sln.search.search import DIVERGED, Search, SearchFlags
from re_sln.search.trial import STOP, run_trial

ERROR, STATE = "error.txt", "ray"
SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the trials have records of their own
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it would kill trials before they have saved
}


@dataclass(frozen=True)
class Room:
    """Cores and GPUs: of a machine, or of a trial."""

    cpus: float
    gpus: float


def this_machine() -> Room:
    """What there is without a cluster."""
    from common.pytorch.devices import usable_gpus  # it needs torch

    return Room(cores(), usable_gpus("auto"))


def room_of_trial(flags: SearchFlags, trials: int, machines: list[Room]) -> Room:
    """What a trial gets: what was asked for, else its share of all machines, at least one core.

    Raises: UsageError where no machine has that.
    """
    cpus, gpus = (sum(getattr(machine, kind) for machine in machines) for kind in ("cpus", "gpus"))
    most = max(machine.cpus for machine in machines)
    share = 0.0 if flags.device == "cpu" else min(1.0, gpus / trials)
    room = Room(
        max(1, min(most, cpus // trials)) if flags.cpus_per_trial is None else flags.cpus_per_trial,
        share if flags.gpus_per_trial is None else flags.gpus_per_trial,
    )
    if flags.device == "cuda" and not room.gpus:
        raise UsageError("--device=cuda: there is no GPU here; use --device=cpu")
    if not any(room.cpus <= machine.cpus and room.gpus <= machine.gpus for machine in machines):
        there = " and ".join(f"{machine.cpus:g} cores, {machine.gpus:g} GPUs" for machine in machines)
        raise UsageError(
            f"--cpus_per_trial={room.cpus:g} --gpus_per_trial={room.gpus:g}: no machine has room for a trial; there "
            f"is {there}"
        )
    return room


def machines_of(ray: Any) -> list[Room]:
    """What each machine of the cluster has."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Room(resources.get("CPU", 0), resources.get("GPU", 0)) for resources in alive]


def run_trials(
    search: Search,
    sigmas: list[str],
    machines: list[Room],
    command: list[str],
    stopped: Sized,
    tell: Callable[[str, dict], None],
    complain: Callable[[str], None],
) -> None:
    """Runs the trials `sigmas`, in Ray, which has been started, until all have ended or were told to stop.

    stopped: true as soon as they are to stop; tell: is given σ, and step, epoch and accuracy_val, after every epoch;
    complain: is given a sentence on each trial that failed.
    """
    os.environ.update(SETTINGS)
    from ray import tune

    room = room_of_trial(search.flags, len(search.trials), machines)
    stop_file = search.folder / STOP
    stop_file.unlink(missing_ok=True)

    def work(space: dict) -> None:
        _work(search, space["sigma"], command, room, tune.report)

    watch = _watch(search, stopped, tell, complain)
    tuner = tune.Tuner(
        tune.with_resources(work, {"cpu": room.cpus, "gpu": room.gpus}),
        param_space={"sigma": tune.grid_search(sigmas)},
        run_config=tune.RunConfig(name=STATE, storage_path=str(search.folder), verbose=0, callbacks=[watch]),
    )
    try:
        tuner.fit()
    except _AllStopped:
        pass
    finally:
        stop_file.unlink(missing_ok=True)
        shutil.rmtree(search.folder / STATE, ignore_errors=True)


def _watch(search: Search, stopped: Sized, tell: Callable[[str, dict], None], complain: Callable[[str], None]) -> Any:
    """What happens between the steps of Tune's own loop."""
    from ray import tune

    class Watch(tune.Callback):
        def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
            if stopped:
                (search.folder / STOP).touch()

        def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
            if stopped and all(trial.status != "RUNNING" for trial in trials):
                raise _AllStopped  # Tune would start the waiting trials, each of which would only look at the file

        def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
            tell(trial.config["sigma"], result)

        def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
            complain(_reason(search, trial.config["sigma"]))

    return Watch()


class _AllStopped(Exception):
    """Every trial that ran has saved its state."""


def _work(search: Search, sigma: str, command: list[str], room: Room, tell: Callable[[dict], None]) -> None:
    """One trial, in a process of Ray's; why it fails is left in its folder."""
    end_with_parent(os.getppid())  # Ray's node: a search that is started again would wait for this process
    folder = search.trial_folder(sigma)
    for name in (ERROR, DIVERGED):
        (folder / name).unlink(missing_ok=True)
    try:
        run_trial(search, sigma, command, room.gpus > 0, int(room.cpus), tell)
    except Exception as error:
        lost = error if isinstance(error, WorkFailed) else lost_reader(error)
        folder.mkdir(parents=True, exist_ok=True)
        name = DIVERGED if isinstance(error, NonFiniteLoss) else ERROR
        atomic_write(folder / name, str(lost) if lost else traceback.format_exc())
        raise


def _reason(search: Search, sigma: str) -> str:
    error = search.trial_folder(sigma) / (DIVERGED if search.diverged(sigma) else ERROR)
    if not error.exists():
        return f"σ = {sigma}: the trial's process ended without a word; was there memory enough?"
    last = error.read_text(encoding="utf-8").strip().splitlines()[-1]
    return f"σ = {sigma}: {last} (all of it in {error})"
