"""The programs that `kills` kills, small, and what of a finished run has to be the same bit for bit."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from common.records.record_files import read_result
from tests.torture.campaigns import PYTORCH, TENSORFLOW

SEARCH = "sigma_search.csv"
RESULT = ("metrics", "metrics_step", "best_on_test", "finished", "config_hash", "run_id")


@dataclass(frozen=True)
class Program:
    """One kind of program. words: of the command, given its folder and a folder that all of them share.

    needs: another program, whose reference run it starts from; begins: whether a record says that training has begun;
    kills: of one run at most, after which it is let finish and compared: few where a start costs much.
    """

    environment: str
    words: Callable[[Path, Path], list[str]]
    needs: str = ""
    begins: bool = True
    kills: int = 16


def ieg(folder: Path, method: str) -> list[str]:
    """Ninety steps, seven epochs, a checkpoint after each step."""
    from tests.ieg.small_runs import MORE, SMALL

    more = [f"--method={method}", *MORE.get(method, []), "--max_iteration=90", "--save_minutes=0"]
    return ["-m", "ieg.main", *SMALL, *more, f"--run_dir={folder}"]


def sln(folder: Path, *more: str) -> list[str]:
    """Ninety steps, thirty epochs; labels are corrected from the third on."""
    given = ["--sigma=0.5", "--mo", "--lc_n_epoch=3", "--n_epochs=30", "--seed=5", "--save_minutes=0", "--device=cpu"]
    return ["-m", "re_sln.train_cifar", *SLN, *given, f"--run_dir={folder}", *more]


SLN = ["--dataset_name=digits", "--image_size=8", "--network=wrn-10-1", "--limit_train_examples=150",
       "--batch_size=64", "--lr=0.05", "--ema_decay=0.5"]  # fmt: skip
MOCO = ["--arch=resnet10-small", "--image-size=16", "--batch-size=8", "--lr=0.05", "--device=cpu"]
QUEUE = ["--moco-k=16", "--moco-dim=8", "--moco-t=0.2", "--bn-splits=2", "--mlp", "--aug-plus", "--robust=patch",
         "--patch-ratio", "3", "7", "--alpha=2", "--save-minutes=0"]  # fmt: skip
TWO = ["--multiprocessing-distributed", "--processes=2", "--dist-backend=gloo"]


def moco(folder: Path, shared: Path, *more: str) -> list[str]:
    """Twenty-four steps, eight epochs, with non-semantic negatives."""
    words = [
        "-m",
        "moco_nonsem.moco-non-sem-neg",
        *MOCO,
        *QUEUE,
        "--epochs=8",
        "--save-freq=4",
        *more,
        f"--run_dir={folder}",
    ]
    return [*words, str(tree(shared))]


def linear(folder: Path, shared: Path) -> list[str]:
    """The linear classifier on the reference run of moco."""
    start = f"--pretrained={shared / 'moco-readers' / 'checkpoint_0007.pth.tar'}"
    words = ["-m", "moco_nonsem.main_lincls", *MOCO, start, "--epochs=12", "--save-minutes=0", "-j", "2"]
    return [*words, f"--run_dir={folder}", str(tree(shared))]


def robustness(folder: Path, shared: Path) -> list[str]:
    """Scores of the reference run of the linear classifier; it has no state that could be resumed from."""
    (given,) = (shared / "linear").glob("checkpoint_robust_*.pth.tar")
    words = ["-m", "moco_nonsem.eval_robustness", *MOCO[:3], "--device=cpu", "-j", "2", str(given)]
    return [*words, f"--val={tree(shared) / 'val'}", f"--run_dir={folder}"]


def tune(folder: Path) -> list[str]:
    """Two trials, each on half of the cores."""
    words = ["--sigmas=0.1,1", "--n_epochs=20", "--device=cpu", "--save_minutes=0", "--cpus_per_trial=1"]
    return ["-m", "re_sln.tune", *SLN, *words, f"--run_dir={folder}"]


def tree(shared: Path) -> Path:
    """A small tree of images."""
    from tests.moco_nonsem.small_runs import make_tree

    return shared / "tree" if (shared / "tree").exists() else make_tree(shared / "tree")


def demo(folder: Path, shared: Path, *more: str) -> list[str]:
    """The runner: two runs at the same time, then table and pictures of a demo, or records and page of a claim."""
    here = Path(sys.prefix).name
    path = shared / f"cells-{here}.yaml"
    if not path.exists():
        path.write_text(yaml.safe_dump(cells(here)))
    places = ["--cells", str(path), "--runs_dir", str(folder / "runs")]
    if more:
        return ["-m", "reproduce", "run", *places, "--table", "small", "--force", "--engine", "ray", *more]
    command = {TENSORFLOW: "demo", PYTORCH: "claims"}[here]
    return ["-m", "reproduce", command, *places, "--jobs", "2", "--out", str(folder / "out")]


def cells(environment: str) -> dict[str, Any]:
    """A cells file with two small runs: two cells of ieg, or one of re_sln with two seeds, and a claim."""
    columns: dict[str, dict[str, Any]]
    if environment == TENSORFLOW:
        program, name, words = "ieg", "demo", ieg(Path(), "supervised")
        columns = {"0.8": {"dataset": "digits_uniform_0.8"}, "0.4": {"dataset": "digits_uniform_0.4"}}
    else:
        program, name, words = "sln", "claims-sln", sln(Path())
        columns = {"0.4": {"p": 0.4}}
    flags: dict[str, Any] = {}
    for flag, equals, value in (word[2:].partition("=") for word in words[2:]):
        if flag not in ("run_dir", "dataset", "seed"):
            flags[flag] = value if equals else True
    entry = {
        "command": ["python", *words[:2]], "environment": environment, "folder_flag": "run_dir", "subfolder": "run",
        "seeds": [0] if environment == TENSORFLOW else [0, 1], "steps": 90,
    }  # fmt: skip
    table = {
        "title": "Small runs", "columns_are": "noise", "program": program, "metric": "accuracy", "flags": flags,
        "needs": {"data": ["digits"], "gpus": 0}, "columns": columns,
        "rows": {"a": {"label": "small", "cost": "small", "flags": {}}},
    }  # fmt: skip
    cost = {"gpu_hours": 0, "basis": "small", "cpu_step_seconds": 0.1, "cpu_basis": "estimated"}
    comparison = {
        "name": "accuracy", "measure": "last accuracy", "of": "claims-sln-a-0.4", "above": 0, "matters": 0,
    }  # fmt: skip
    claim = {
        "paper": "SLN", "statement": "It learns.", "short": "it learns", "place": "none", "published": {},
        "scaled_down": "Small.", "curve": {"metric": "accuracy/test", "against": "epoch"}, "comparisons": [comparison],
    }  # fmt: skip
    content = {"programs": {program: entry}, "costs": {"small": cost}, "tables": {name: table, "small": table}}
    return content | {"claims": {"sln-1": claim}}


PROGRAMS = {
    "ieg": Program(TENSORFLOW, lambda folder, _: ieg(folder, "ieg")),
    "l2r": Program(TENSORFLOW, lambda folder, _: ieg(folder, "l2r")),
    "fsr": Program(TENSORFLOW, lambda folder, _: ieg(folder, "fsr")),
    "supervised": Program(TENSORFLOW, lambda folder, _: ieg(folder, "supervised"), kills=32),
    "demo-ieg": Program(TENSORFLOW, demo, kills=8),
    "sln": Program(PYTORCH, lambda folder, _: sln(folder), kills=32),
    "sln-readers": Program(PYTORCH, lambda folder, _: sln(folder, "--loader=dataloader", "--workers=2")),
    "moco-readers": Program(PYTORCH, lambda folder, shared: moco(folder, shared, "-j", "2"), kills=32),
    "moco-ranks": Program(PYTORCH, lambda folder, shared: moco(folder, shared, "-j", "2", *TWO), kills=8),
    "linear": Program(PYTORCH, linear, needs="moco-readers"),
    "robustness": Program(PYTORCH, robustness, needs="linear", begins=False),
    "claim-sln": Program(PYTORCH, demo, kills=8),
    "tune": Program(PYTORCH, lambda folder, _: tune(folder), kills=4),
    "ray-engine": Program(PYTORCH, lambda folder, shared: demo(folder, shared, "--cpus_per_run", "1"), kills=4),
}


def environment(marker: str, shared: Path) -> dict[str, str]:
    """Of a program that is to be found again, with all that it starts, by its marker. One thread each."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NUMBA_NUM_THREADS")
    places = {"DATA_DIR": str(shared / "data"), "RUNS_DIR": str(shared / "runs"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return os.environ | dict.fromkeys(names, "1") | places | {"KILLS_MARKER": marker}


def left_by(folder: Path) -> dict[str, Any]:
    """Of every run below a folder what an uninterrupted one leaves as well: result, log, last checkpoint, pages."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("result.json")):
        run, result = path.parent, read_result(path.parent)
        name = str(run.relative_to(folder))
        found[name] = {key: result[key] for key in RESULT}
        if not (run / SEARCH).exists():  # its own log has the epochs of its trials in the order in which they came
            found[f"{name} metrics.jsonl"] = (run / "metrics.jsonl").read_bytes()
        found |= {f"{name} {checkpoint.name}": digest(checkpoint) for checkpoint in checkpoints(run)}
    pages = [path for name in ("table.md", "README.md", SEARCH) for path in folder.rglob(name)]
    for path in sorted(pages):
        found[str(path.relative_to(folder))] = path.read_text(encoding="utf-8")
    return found


def checkpoints(run: Path) -> list[Path]:
    """The last state, and whatever an epoch leaves."""
    states = ("checkpoint_*.npz", "checkpoint_????????.pt", "state_*.pth.tar")
    last = [path for name in states for path in sorted(run.glob(name))[-1:]]
    return [*last, *sorted(run.glob("checkpoint_*.pth.tar")), *sorted(run.glob("model*.pt*"))]


def digest(path: Path) -> str:
    """Of every array or tensor in a checkpoint, and its name."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            content: Any = {name: file[name] for name in file.files}
    else:
        import torch

        content = torch.load(path, map_location="cpu", weights_only=True)
    found = hashlib.sha256()
    for name, value in plain(content, ""):
        found.update(f"{name}\0".encode() + value)
    return found.hexdigest()


def plain(content: Any, name: str) -> list[tuple[str, bytes]]:
    """Every value in nested mappings and lists as bytes, by its path."""
    if isinstance(content, Mapping):
        return [pair for key in content for pair in plain(content[key], f"{name}/{key}")]
    if isinstance(content, (list, tuple)):
        return [pair for place, value in enumerate(content) for pair in plain(value, f"{name}/{place}")]
    if hasattr(content, "detach"):
        content = content.detach().contiguous().numpy()
    return [(name, content.tobytes() if isinstance(content, np.ndarray) else repr(content).encode())]
