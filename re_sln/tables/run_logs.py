"""Reads training runs: folders of ours, and the published logs (TensorBoard event files, configurations beside them).

A run that cannot be used is left out, and `Logs.left_out` says why.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from common.errors import RecordError, UsageError
from common.records.record_files import read_config, read_metrics, read_result
from common.storage.data_folders import is_foreign
from common.storage.text_files import read_text
from re_sln.tables.cell_of_run import Place, place_of, search_place

Curve = list[tuple[float, float]]  # (epoch, value), epochs rising
EVENTS = "events.out.tfevents*"
LOSSES = ("loss/train_all", "loss/train_clean", "loss/train_noisy")
CURVES = ("accuracy/test", "accuracy/train", "loss/test", *LOSSES)
SEARCHED = "accuracy_val_sigma_"


@dataclass(frozen=True)
class LoggedRun:
    """A finished training run. accuracy: share of the test set, last epoch; sample: `paper`, `custom` or "" (noise)."""

    name: str
    place: Place
    sample: str
    accuracy: float
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class LoggedSearch:
    """A finished search for σ. place: (data, setting, noise); accuracy of each σ: share of the validation labels."""

    name: str
    place: tuple[str, str, str]
    accuracy: Mapping[float, float]


@dataclass
class Logs:
    """What was found, and a sentence on each run that cannot be used. counted: names of runs of ours, by their key."""

    runs: list[LoggedRun] = field(default_factory=list)
    searches: list[LoggedSearch] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    counted: dict[tuple[str, ...], str] = field(default_factory=dict)

    def add(self, name: str, read: Callable[[], LoggedRun | LoggedSearch | None]) -> None:
        """Takes in what `read` returns; None: it is nothing of ours."""
        try:
            entry = read()
        except (UsageError, RecordError, yaml.YAMLError, OSError, TypeError, ValueError, AttributeError) as error:
            self.left_out.append(f"{name}: {error}")
            return
        except (LookupError, RecursionError) as error:
            self.left_out.append(f"{name}: its record is damaged ({type(error).__name__} {error})")
            return
        if isinstance(entry, LoggedRun):
            self.runs.append(entry)
        elif entry is not None:
            self.searches.append(entry)


def read_logs(logdir: Path, configs: Path | None) -> Logs:
    """Every run at any depth below `logdir`; configs: folder of `<run>/config.yml` for logs without a record."""
    logs = Logs()
    folders = list(_folders(logdir))
    for folder in folders:
        name = str(folder.relative_to(logdir)) if folder != logdir else folder.name
        if (folder / "result.json").exists():
            logs.add(name, partial(_own, folder, name, logs.counted))
        else:
            logs.add(name, partial(_published, folder, name, configs))
    if configs:
        there = {folder.name for folder in folders}
        written = {path.parent.name for path in configs.glob("*/config.yml") if not is_foreign(path.parent.name)}
        missing = sorted(written - there)
        logs.left_out += [f"{name}: {logdir / name} holds no event file" for name in missing]
    return logs


def _folders(logdir: Path) -> Iterator[Path]:
    """Folders that are runs; what lies below one belongs to it."""
    for name, folders, files in os.walk(logdir):
        folders[:] = sorted(inside for inside in folders if not is_foreign(inside))
        if "result.json" in files or any(file.startswith("events.out.tfevents") for file in files):
            folders.clear()
            yield Path(name)


def _own(folder: Path, name: str, counted: dict[tuple[str, ...], str]) -> LoggedRun | LoggedSearch | None:
    result = read_result(folder)
    if result["sub_project"] != "re_sln":
        return None
    if not result["finished"]:
        raise UsageError("the run is not finished")
    entry = _finished(folder, name, result)
    # As in reproduce, a seed counts once, whatever the second run of it gave.
    what = (result["run_id"], result["dataset"]["name"], result["dataset"]["fingerprint"])
    first = counted.setdefault(what, name)
    if first != name:
        raise UsageError(f"the same settings, seed and data as {first}, which counts; move one of the two away")
    return entry


def _finished(folder: Path, name: str, result: Mapping[str, Any]) -> LoggedRun | LoggedSearch:
    config, data = read_config(folder), result["dataset"]["name"]
    searched = {
        float(metric.removeprefix(SEARCHED)): value
        for metric, value in result["metrics"].items()
        if metric.startswith(SEARCHED)
    }
    if searched:
        return LoggedSearch(name, search_place(config, data), searched)
    if "accuracy" not in result["metrics"]:
        raise UsageError(f"its metrics are {', '.join(result['metrics'])}, not accuracy")
    lines = read_metrics(folder)
    curves = {tag: [(line["epoch"], line[tag]) for line in lines if tag in line] for tag in CURVES}
    return LoggedRun(name, place_of(config, data), _sample(config), result["metrics"]["accuracy"], curves)


def _published(folder: Path, name: str, configs: Path | None) -> LoggedRun:
    config = _config([configs / folder.name, folder] if configs else [folder])
    place = place_of(config, str(config.get("dataset_name")))
    curves = _scalars(folder)
    for tag in LOSSES:
        curves[tag] = _scalars(folder / tag.replace("/", "_")).get("loss/train", [])
    if "accuracy/test" not in curves:
        raise UsageError("its event file holds no accuracy/test")
    reached = curves["accuracy/test"][-1][0]
    if reached != config["n_epochs"]:
        raise UsageError(f"its event file ends after epoch {reached:g} of {config['n_epochs']}, or is damaged there")
    return LoggedRun(name, place, _sample(config), curves["accuracy/test"][-1][1], curves)


def _config(folders: list[Path]) -> dict[str, Any]:
    for folder in folders:
        if (folder / "config.yml").exists():
            content = yaml.safe_load(read_text(folder / "config.yml"))
            if not isinstance(content, dict):
                raise UsageError(f"{folder / 'config.yml'} is no list of settings")
            return content
    raise UsageError(f"there is no config.yml in {' or '.join(map(str, folders))}; --configs names their folder")


def _scalars(folder: Path) -> dict[str, Curve]:
    """Every tag of the event files in a folder; values are float32, as the files hold them. A later file replaces."""
    # The light loader, without the reservoirs of EventAccumulator. It ends, without a word, where a file is damaged.
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    curves: dict[str, dict[float, float]] = {}
    for path in sorted(folder.glob(EVENTS)):
        for event in LegacyEventFileLoader(str(path)).Load():
            for value in event.summary.value:
                curves.setdefault(value.tag, {})[event.step] = value.simple_value
    return {tag: sorted(points.items()) for tag, points in curves.items()}


def _sample(config: Mapping[str, Any]) -> str:
    if config.get("noise_mode") is None:
        return ""
    return "custom" if config.get("custom_noise") else "paper"
