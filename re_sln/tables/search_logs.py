"""Reads the published searches for σ: folders of Ray Tune, one trial for each σ."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from common.errors import UsageError
from common.foreign_text import one_line
from common.storage.data_folders import entries
from common.storage.text_files import read_text
from re_sln.tables.cell_of_run import search_place
from re_sln.tables.run_logs import LoggedSearch, Logs

PUBLISHED_SEARCHES = Path(__file__).resolve().parent / "published_searches.yaml"


def read_searches(logs: Logs, hp: Path, hp_map: Path) -> None:
    """Add every search in the folder `hp` to `logs`; hp_map: YAML, the settings of each by its folder's name.

    Raises: UsageError for a map that cannot be read.
    """
    settings = _settings(hp_map)
    for entry in entries(hp, []):
        if entry.is_dir():
            logs.add(entry.name, partial(_search, hp / entry.name, settings, hp_map))


def _settings(hp_map: Path) -> Mapping[str, Mapping[str, Any]]:
    try:
        content = yaml.safe_load(read_text(hp_map))
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"--hp_map={hp_map}: {one_line(error)}") from error
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise UsageError(f"--hp_map={hp_map}: it has one line a search, as in {PUBLISHED_SEARCHES}")
    return content


def _search(folder: Path, settings: Mapping[str, Mapping[str, Any]], hp_map: Path) -> LoggedSearch:
    if folder.name not in settings:
        raise UsageError(f"{hp_map} does not say which noise it had; give a file that does with --hp_map")
    config = settings[folder.name]
    trials = sorted(path.parent for path in folder.glob("*/progress.csv"))
    if not trials:
        raise UsageError(f"{folder} holds no trial with a progress.csv")
    place = search_place(config, str(config.get("dataset_name")))
    return LoggedSearch(folder.name, place, dict(_trial(trial, int(config["n_epochs"])) for trial in trials))


def _trial(folder: Path, n_epochs: int) -> tuple[float, float]:
    """(σ, validation accuracy of the last epoch)."""
    try:
        sigma = float(json.loads((folder / "params.json").read_text(encoding="utf-8"))["sigma"])
        with open(folder / "progress.csv", encoding="utf-8", newline="") as file:
            rows = [(int(row["training_iteration"]), float(row["accuracy_val"])) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"trial {folder.name} is damaged ({error})") from error
    reached, accuracy = rows[-1] if rows else (0, 0.0)
    if reached != n_epochs:
        raise UsageError(f"the trial with σ = {sigma:g} ends after epoch {reached} of {n_epochs}")
    return sigma, accuracy
