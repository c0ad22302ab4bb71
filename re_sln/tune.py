"""Searches for the σ of stochastic label noise: several at once with Ray Tune, compared on noisy labels held out.

python tune.py --dataset_name cifar10 --noise_mode sym --p 0.4 --val_size 0.1 --seed 123
"""

from __future__ import annotations

import logging
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as a file: its own folder must not shadow the packages beside it
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from common.program import guarded_training
from common.records.config_text import format_config, parse_config
from common.records.record import AnyRecord
from common.records.record_files import read_config, read_result
from common.results.tables import csv_text, markdown_table
from common.stopping import stop_signals
from common.storage.files import atomic_write, check_writable
from re_sln.search.search import METRIC, PUBLISHED, Search, best_sigma, parse_search, resolve_search
from re_sln.settings.flags import PLACES

OUTPUTS = ("sigma_search.csv", "sigma_search.md")


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 a trial failed or diverged, 2 a mistake in flags or data, 130 stopped by the user."""
    arguments = sys.argv[1:] if argv is None else argv
    flags = parse_search(arguments)

    def search() -> int:
        resolved = resolve_search(flags)  # refuses what it can before torch is loaded
        return check(resolved) if flags.check else run(resolved, ["python", "-m", "re_sln.tune", *arguments])

    return guarded_training(search, "interrupted; run the same command to resume from the last checkpoints", PLACES)


def check(search: Search) -> int:
    """Verifies the data and prints config.yml."""
    from re_sln.datasets import load as datasets

    name, mark = datasets.describe(search.first)
    print(format_config(search.record() | {"data_name": name, "data_fingerprint": mark}), end="")
    return 0


def run(search: Search, command: list[str]) -> int:
    """Does the trials that are not done, then compares all of them."""
    if is_finished(search):
        logging.info("%s is finished", search.folder)
    else:
        logging.info("%s", shlex.join(command))
        check_writable(search.folder, PLACES)
        code = try_missing(search, command)
        if code:
            return code
    print((search.folder / "sigma_search.md").read_text(encoding="utf-8"))
    diverged = read_result(search.folder)["notes"].get("diverged", [])
    if not diverged:
        return 0
    print(f"error: diverged: σ = {', '.join(diverged)}; a lower --lr may bring it in", file=sys.stderr)
    return 1


def is_finished(search: Search) -> bool:
    """Whether the folder holds this search, done."""
    if not (search.folder / "sigma_search.md").exists():
        return False
    there, here = read_config(search.folder), parse_config(format_config(search.record()))
    return {name: value for name, value in there.items() if name != "noise_sha256"} == here


def try_missing(search: Search, command: list[str]) -> int:
    """Runs what is missing and writes the result. Returns the exit code."""
    from common.ray_cluster import ray_started
    from re_sln.search.progress import Progress
    from re_sln.search.ray_trials import machines_of, room_of_trial, run_trials, this_machine

    if not search.flags.address:
        room_of_trial(search.flags, len(search.trials), [this_machine()])
    record, notes = make_record(search, command)
    failures: list[str] = []

    def complain(sentence: str) -> None:
        failures.append(sentence)
        progress.say(sentence)

    with closing(Progress(search, record)) as progress, stop_signals() as stopped:
        record.begin(progress.step, outputs=OUTPUTS)
        try:
            missing = [sigma for sigma in search.trials if search.result(sigma) is None]
            logging.info("%d trials, %d to do, in %s", len(search.trials), len(missing), search.folder)
            if missing:
                with ray_started(search.flags.address, this_machine().gpus) as ray:
                    run_trials(search, missing, machines_of(ray), command, stopped, progress.tell, complain)
        finally:
            record.interrupted()
    results = {sigma: result for sigma in search.trials if (result := search.result(sigma))}
    diverged = [sigma for sigma in search.trials if sigma not in results and search.diverged(sigma)]
    if results and len(results) + len(diverged) == len(search.trials):
        finish(search, record, results, notes | ({"diverged": diverged} if diverged else {}))
        return 0
    undone = f"{len(search.trials) - len(results)} of {len(search.trials)} trials"
    if stopped:
        logging.warning("interrupted, %s are not done; run the same command to resume", undone)
        return 130
    print(f"error: {undone} failed; the same command tries them again", *failures, sep="\n  ", file=sys.stderr)
    return 1


def make_record(search: Search, command: list[str]) -> tuple[AnyRecord, dict[str, Any]]:
    """The record of the search, and its notes. Reads the data, and makes the noise file if there is none."""
    from common.pytorch.process_group import Group
    from re_sln.search.trial import trial_data
    from re_sln.training import experiment, records
    from re_sln.training.distributed import pick_device

    group = Group(0, 1, pick_device("cpu" if search.flags.device == "cpu" else "auto", 0))
    config = search.first
    group.warn_of_precision(config.flags.amp)
    begun = (search.folder / "config.yml").exists()
    data = experiment.load_data(config, group, make_new=search.flags.make_new_custom_noise and not begun)
    split = trial_data(search, config, data)
    notes: dict[str, Any] = {
        "examples": f"{len(split.given)} trained on, {len(split.tests['test'])} held out with their given labels",
        "noise_rate": float(data.is_noisy.mean()),
        "published": PUBLISHED,
    }
    if search.flags.limit_train_examples:
        notes["shortened"] = f"the first {search.flags.limit_train_examples} training examples only"
    return records.make_record(config, data, group, search.folder, command, search.record()), notes


def finish(search: Search, record: AnyRecord, results: dict[str, dict], notes: dict[str, Any]) -> None:
    """Result and table: of every trial that did not diverge the accuracy after its last epoch."""
    accuracies = {sigma: result["metrics"]["accuracy_val"] for sigma, result in results.items()}
    notes = notes | {
        "best_sigma": float(best_sigma(accuracies)),
        "devices": sorted({result["device"] for result in results.values()}),
    }
    step = sum(result["metrics_step"] for result in results.values())
    record.finish({METRIC + sigma: value for sigma, value in accuracies.items()}, step, {}, notes)
    rows = [(sigma, accuracies.get(sigma)) for sigma in search.trials]
    atomic_write(search.folder / "sigma_search.csv", csv_text(["sigma", "accuracy_val"], rows))
    atomic_write(search.folder / "sigma_search.md", table_text(search, accuracies, notes))


def table_text(search: Search, accuracies: dict[str, float], notes: dict[str, Any]) -> str:
    """The table, the best σ, and what it says."""
    flags = search.flags
    noise = f"{flags.noise_mode}, p = {flags.p:g}" if search.first.noise else "none"
    way = "training" if flags.val_transform == "train" else "test"
    shown = {sigma: f"{100 * value:.2f}" for sigma, value in accuracies.items()}
    rows = [[sigma, shown.get(sigma, "diverged")] for sigma in search.trials]
    return (
        f"σ on {flags.dataset_name}, noise {noise}: accuracy after epoch {flags.n_epochs} on noisy labels held out\n"
        f"({notes['examples']}; the latter seen as {way} images)\n\n"
        + markdown_table(["σ", "accuracy, %"], rows)
        + f"\nBest: σ = {best_sigma(accuracies)}.\n{PUBLISHED}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
