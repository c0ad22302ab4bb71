"""Small files of every kind that the suite reads, each with what reads it; see damaged_files.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from common.records.record_files import read_config, read_metrics, read_result
from data.checksums import Published
from data.registry import Archive, Entry, _load
from data.store import Store
from preprocess.program import settings_in
from reproduce.cells import load_tables
from reproduce.curves import draw_curves
from reproduce.report.page import report_html
from reproduce.runs import runs_of
from reproduce.side_by_side import QUANTITIES, TEST, read_authors
from reproduce.verify import verify
from tests.torture.campaigns import PYTORCH, TENSORFLOW

Read = Callable[[], Any]


@dataclass
class Case:
    """`path`: a file; `read`: what reads it; `whole`: whether it has a checksum, so that what is read is right."""

    path: Path
    read: Read
    whole: bool = False
    binary: bool = False


def record_cases(folder: Path) -> dict[str, Case]:
    """A finished run with its log, and a cells file that asks for it."""
    from tests.reproduce.conftest import cells_content
    from tests.reproduce.many_runs import write_runs

    cells = folder / "cells.yaml"
    content = cells_content()
    del content["tables"]["small"]["published"], content["tables"]["small"]["source"]
    cells.write_text(yaml.safe_dump(content))
    table = load_tables(cells)["small"]
    write_runs(table.cells, [0], folder / "runs", evaluations=5)
    (run,) = {path.parent for path in (folder / "runs").rglob("result.json") if "0.8" in str(path)}
    seal_again(run)

    def page() -> None:
        report_html([(table, runs_of(table.cells, (0,), folder / "runs"))])

    def verified() -> Any:
        found = verify(run, None, records_only=True)
        return None if found.problems else read_result(run)

    curves = draw_curves, [run], folder / "curves.png"
    return {
        "config.yml": Case(run / "config.yml", lambda: read_config(run)),
        "metrics.jsonl": Case(run / "metrics.jsonl", lambda: read_metrics(run)),
        "result.json": Case(run / "result.json", lambda: read_result(run)),
        "result.json, verify": Case(run / "result.json", verified, whole=True),
        "metrics.jsonl, verify": Case(run / "metrics.jsonl", verified),
        "config.yml, verify": Case(run / "config.yml", verified),
        **{f"{name}, report": Case(run / name, page) for name in ("config.yml", "metrics.jsonl", "result.json")},
        "log.txt, report": Case(run.parent / "log.txt", page),
        "metrics.jsonl, curves": Case(run / "metrics.jsonl", lambda: curves[0](*curves[1:])),
        "cells.yaml": Case(cells, lambda: load_tables(cells)),
        "published.yaml": Case(
            put(folder / "published.yaml", yaml.safe_dump({"ieg": {"uniform_noise": {"cifar10": {"a": [94.0, 0.1]}}}})),
            lambda: load_tables(cells, folder / "published.yaml"),
        ),
    }  # fmt: skip


def seal_again(run: Path) -> None:
    """As our programs write it: with a seal."""
    from common.records.config_text import run_id
    from common.records.result_schema import seal

    result = json.loads((run / "result.json").read_text())
    result["run_id"] = run_id(result["sub_project"], result["config_hash"], result["seed"])
    (run / "result.json").write_text(json.dumps(result | {"seal": seal(result)}, indent=2) + "\n")


def put(path: Path, content: str | bytes) -> Path:
    """The file, written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def data_cases(folder: Path) -> dict[str, Case]:
    """What the registry and the store keep, the settings of a tree, and the authors' log."""
    entries = Path(__file__).resolve().parents[2] / "data" / "entries"
    registry = put(folder / "registry" / "a.toml", sorted(entries.glob("*.toml"))[0].read_bytes())
    entry = Entry("toy", "t", "fetch", "toy", "h", "c", archives=(Archive("a.zip", ("x",), Published(), "zip"),))
    store = Store(folder / "data")
    known = {"origin": "o", "checked": "c", "date": "2020-01-01", "files": 1, "sha256": "0" * 64, "md5": "0", "size": 1}
    record = put(store.root / "toy.record.json", json.dumps({"name": "toy", "archives": {"a.zip": known}}))
    hashes = put(store.root / "toy.sha256", f"{'0' * 64}  toy/b\n{'1' * 64}  toy/c\n")
    put(store.root / "toy" / "b", "b")
    settings = put(folder / "shapes-textures.json", json.dumps({"seed": 0, "size": 40, "colour": "texture"}))
    names = ["step", *(name for name, _ in QUANTITIES.values()), TEST[0]]
    lines = [",".join(names), *(",".join(map(str, [step, *[0.5] * (len(names) - 1)])) for step in range(1, 5))]
    log = put(folder / "authors.csv", "\n".join(lines) + "\n")
    return {
        "registry": Case(registry, lambda: _load.__wrapped__(registry.parent)),
        "NAME.record.json": Case(record, lambda: store.state(entry)),
        "NAME.sha256": Case(hashes, lambda: [store.state(entry), store.expected_files(entry, entry.archives[0])]),
        "shapes-textures.json": Case(settings, lambda: settings_in(settings)),
        "the authors' log": Case(log, lambda: read_authors(log)),
    }


def torch_cases(folder: Path) -> dict[str, Case]:
    """Noise files, published logs, checkpoints of the programs that run with PyTorch."""
    import torch

    from common.pytorch.torch_files import write_tensors
    from common.results.tables import csv_text
    from moco_nonsem.running import checkpoint as of_moco
    from re_sln.noise import noise_files
    from re_sln.settings.flags import PROGRAMS
    from re_sln.tables.run_logs import Logs, read_logs
    from re_sln.tables.search_logs import read_searches
    from re_sln.training import checkpoint as of_sln
    from re_sln.training.run_folder import settings_of
    from tests.re_sln.logged_runs import our_run, published_run, published_search

    labels = np.arange(40) % 10
    noise = put(
        folder / "noise" / "sym0.4.csv",
        csv_text(noise_files.HEADER, [*zip(labels, labels, strict=True)]),
    )
    rules = put(noise_files.rules_path(noise), "source,target,rate\n1,7,0.4\n")
    images = np.zeros((40, 4, 4, 3), np.uint8)
    np.save(noise_files.images_path(noise), images)
    state = {"model": {"weight": torch.arange(2000.0)}, "epoch": 3, "run": {"run_id": "a", "step": 3}}
    of_sln.save(make(folder / "sln"), 3, state)
    weights = folder / "moco.pth.tar"
    write_tensors(weights, {"epoch": 2, "arch": "resnet50", "state_dict": {"a": torch.arange(2000.0)}})
    published = published_run(folder / "logs", [0.5] * 300)
    (events, *_) = sorted(published.glob("events*"))
    own = folder / "own" / "run"
    our_run(own, 0.9)
    search = published_search(folder / "search", "hp_a", {0.1: 0.5, 1.0: 0.6}, epochs=3)
    (progress, *_) = sorted(search.rglob("progress.csv"))
    hp_map = put(
        folder / "map.yaml",
        yaml.safe_dump(
            {"hp_a": {"dataset_name": "cifar10", "noise_mode": "sym", "p": 0.4, "n_epochs": 3, "custom_noise": False}}
        ),
    )

    def searches() -> Any:
        logs = Logs()
        read_searches(logs, search.parent, hp_map)
        return logs

    def logs(place: Path) -> Read:
        return lambda: read_logs(place, folder / "logs" / "configs")

    config = folder / "logs" / "configs" / published.name / "config.yml"
    return {
        "noise CSV": Case(noise, lambda: noise_files.read_labels(noise, labels, 10, False)),
        "noise rules": Case(rules, lambda: noise_files.read_rules(noise)),
        "noise images": Case(
            noise_files.images_path(noise),
            lambda: noise_files.read_images(noise, images, np.zeros(40, bool)),
            whole=True,
            binary=True,
        ),
        "checkpoint of re_sln": Case(
            of_sln.FILES.path(folder / "sln", 3), lambda: of_sln.newest(folder / "sln"), whole=True, binary=True
        ),
        "checkpoint of moco_nonsem": Case(
            weights, lambda: of_moco.read_given("--resume", str(weights), "state_dict"), whole=True, binary=True
        ),
        "published event file": Case(events, logs(published.parent), binary=True),
        "published config.yml": Case(config, logs(published.parent)),
        "published search": Case(progress, searches),
        "map of searches": Case(hp_map, searches),
        "config.yml, --resume": Case(own / "config.yml", lambda: settings_of(own, PROGRAMS["train_cifar"])),
        "result.json, results": Case(own / "result.json", logs(own.parent)),
        "metrics.jsonl, results": Case(own / "metrics.jsonl", logs(own.parent)),
    }


def tensorflow_cases(folder: Path) -> dict[str, Case]:
    """Checkpoints of ieg, and starting weights."""
    import tensorflow as tf

    from ieg.checkpoints import checkpoint, pretrained
    from ieg.networks.network import build_network

    network = build_network("wrn10-1", 10, image_size=8)
    shapes = pretrained.needed_shapes(network, list(network.specs))
    arrays = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(folder, checkpoint.Checkpoint(3, arrays, {"seen": 1}))
    path = checkpoint.FILES.path(folder, 3)
    convs = sum(spec.kind == "conv" for spec in network.specs.values())
    norms = len(network.batch_norms)
    numbers = {"conv2d": (convs, "kernel"), "batch_normalization": (norms, "gamma"), "dense": (1, "kernel")}
    names = [f"{layer}{f'_{k}' if k else ''}/{last}" for layer, (count, last) in numbers.items() for k in range(count)]
    places = pretrained.variables_in_tensorflow(network, names, path)
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt"), tensor_names=list(places.values()), shape_and_slices=[""] * len(places),
        tensors=[arrays[name] for name in places],
    )  # fmt: skip

    def newest() -> Any:
        found = checkpoint.newest(folder)
        return found and [found.arrays, dict(found.meta)]

    def weights(place: Path) -> Any:
        found = pretrained.load(place, "all", network)
        return [dict(found.parameters), dict(found.moving)]

    return {
        "checkpoint of ieg": Case(path, newest, whole=True, binary=True),
        "--pretrained_ckpt of ieg": Case(path, lambda: weights(path), whole=True, binary=True),
        "--pretrained_ckpt of TensorFlow": Case(
            folder / "model.ckpt.index", lambda: weights(folder / "model.ckpt"), whole=True, binary=True
        ),
        "weights of TensorFlow": Case(
            folder / "model.ckpt.data-00000-of-00001", lambda: weights(folder / "model.ckpt"), whole=True, binary=True
        ),
    }


def cases(folder: Path) -> dict[str, Case]:
    """Those that this environment reads."""
    found = record_cases(folder / "records") | data_cases(folder / "data") if make(folder / "records") else {}
    here = Path(sys.prefix).name
    from tests.torture import data_file_cases as of_data

    found |= of_data.numpy_cases(make(folder / "numpy"))
    if here == PYTORCH:
        found |= torch_cases(make(folder / "torch")) | of_data.clothing_cases(folder / "clothing1m")
    if here == TENSORFLOW:
        found |= tensorflow_cases(folder / "tensorflow") | of_data.record_cases(make(folder / "tfrecords"))
    return found


def make(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir(parents=True)
    return folder
