"""Run folders for the tests of results.py: as our programs leave them, and as the published logs are."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.records.record import RunRecord

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = Path(os.environ.get("SHARED_DATA") or ROOT.parent / "shared" / "data") / "re-sln-runs" / "runs.tar.xz"

OURS: dict[str, Any] = {
    "program": "train_cifar",
    "dataset_name": "cifar10",
    "batch_size": 128,
    "n_epochs": 300,
    "lr": 0.001,
    "sigma": 1.0,
    "mo": False,
    "lc_n_epoch": -1,
    "seed": 123,
    "network": "wrn-28-2",
    "ema_decay": 0.999,
    "noise_mode": "sym",
    "p": 0.4,
    "custom_noise": False,
    "custom_rng": "independent",
    "asym_rules": "authors",
    "image_size": 32,
    "augmentation": "crop_flip",
    "norm": "seed",
    "lc_eval_transform": "train",
    "limit_train_examples": 0,
    "amp": "off",
    "model": "sln",
}
CUSTOM: dict[str, Any] = {"custom_noise": True, "custom_rng": "seed", "asym_rules": "seed"}
PUBLISHED: dict[str, Any] = {
    "exp_id": "exp_2021-11-25 15:38:09.361059",
    "dataset_name": "cifar10",
    "batch_size": 128,
    "n_epochs": 300,
    "lr": 0.001,
    "noise_mode": "sym",
    "p": 0.4,
    "custom_noise": False,
    "make_new_custom_noise": False,
    "sigma": 1.0,
    "mo": False,
    "lc_n_epoch": -1,
    "seed": 123,
}


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time, and two tests look at them."""
    monkeypatch.setattr("common.results.tables.draw_table", lambda *_: None)
    monkeypatch.setattr("re_sln.results.draw_curves", lambda *_: None)


def our_run(
    folder: Path,
    metrics: float | Mapping[str, float],
    data: str = "",
    finished: bool = True,
    sub_project: str = "re_sln",
    **changes: Any,
) -> None:
    """A folder as train_cifar.py leaves it, of two evaluations; `changes` are settings other than published ones."""
    config = {name: value for name, value in {**OURS, **changes}.items() if value is not None}
    record = RunRecord(
        folder,
        sub_project=sub_project,
        command=["python", "-m", "re_sln.train_cifar"],
        config=config,
        seed=config["seed"],
        dataset={"name": data or config["dataset_name"], "version": "1", "fingerprint": "0" * 64},
        device="cpu",
        world_size=1,
        libraries={},
    )
    record.begin()
    values = metrics if isinstance(metrics, Mapping) else {"accuracy": metrics}
    last = values.get("accuracy", 0.5)
    for step, epoch, accuracy in ((391, 1, 0.3), (391 * config["n_epochs"], config["n_epochs"], last)):
        losses = {"loss/train_all": 2.0 / epoch, "loss/train_clean": 1.5 / epoch, "loss/train_noisy": 2.5 / epoch}
        record.log(step, epoch, {"accuracy/train": 0.2, "accuracy/test": accuracy, "loss/test": 1.0, **losses})
    if finished:
        record.finish(values, 391 * config["n_epochs"], {"accuracy": {"value": 0.99, "step": 391}})
    else:
        record.interrupted()


def published_run(place: Path, accuracies: Sequence[float], name: str = "", **changes: Any) -> Path:
    """A run as the published logs have it: event files below `runs`, config.yml below `configs`; returns the former."""
    config = {**PUBLISHED, **changes}
    name = name or config["exp_id"]
    (place / "configs" / name).mkdir(parents=True)
    (place / "configs" / name / "config.yml").write_text(yaml.safe_dump(config))
    folder = place / "runs" / name
    write_events(folder, {"accuracy/test": accuracies, "accuracy/train": accuracies, "loss/test": accuracies})
    for part in ("all", "clean", "noisy"):
        write_events(folder / f"loss_train_{part}", {"loss/train": accuracies})
    return folder


def write_events(folder: Path, scalars: Mapping[str, Sequence[float]]) -> Path:
    """An event file with a value for every epoch from 1 on."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "events.out.tfevents.1637854692.pytorch-nb-2.1.0"
    with open(path, "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        for tag, values in scalars.items():
            for epoch, value in enumerate(values, start=1):
                summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
                writer.write(Event(step=epoch, summary=summary).SerializeToString())
        writer.flush()
    return path


def published_search(place: Path, name: str, accuracy: Mapping[float, float], epochs: int = 300) -> Path:
    """A folder as Ray Tune left it."""
    folder = place / "hp" / name
    for number, (sigma, value) in enumerate(accuracy.items()):
        trial = folder / f"hp_71b1c_{number:05}_{number}_sigma={sigma}_2021-12-03_13-18-03"
        trial.mkdir(parents=True)
        (trial / "params.json").write_text(f'{{"sigma": {sigma}}}')
        rows = "".join(f"0.1,{value if epoch == epochs else 0.1},{epoch}\n" for epoch in range(1, epochs + 1))
        (trial / "progress.csv").write_text(f"loss_val,accuracy_val,training_iteration\n{rows}")
    return folder


def unpack(place: Path) -> Path:
    """The published logs; returns their folder of runs."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(place, filter="data")
    return place / "runs"
