"""Small runs, small data and what a run left behind, for several tests."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from re_sln.datasets.training_set import Data
from re_sln.settings.config import Config, resolve
from re_sln.settings.flags import PROGRAMS, Flags

# Some seconds: three steps an epoch, the last batch not whole.
DIGITS = ["--dataset_name=digits", "--image_size=8", "--network=wrn-10-1", "--limit_train_examples=150",
          "--batch_size=64", "--lr=0.05", "--ema_decay=0.5"]  # fmt: skip
MODELS = {
    "ce": ["--sigma=0"],
    "sln": ["--sigma=0.5"],
    "sln-mo": ["--sigma=0.5", "--mo"],
    "sln-mo-lc": ["--sigma=0.5", "--mo", "--lc_n_epoch=2"],
}


def config_of(program: str = "train_cifar", world_size: int = 1, **flags) -> Config:
    """Resolved as on the command line; the digits at 8×8 with a small network unless said otherwise."""
    small = {"dataset_name": "digits", "image_size": 8} if program == "train_cifar" else {}
    given = {**PROGRAMS[program].defaults, "network": "wrn-10-1", **small, **flags}
    return resolve(PROGRAMS[program], Flags(**given), world_size)


def small_data(count: int = 71, classes: int = 3, size: int = 8, tests: tuple[str, ...] = ("test",)) -> Data:
    """Images of blurred class patterns, a third of whose labels are wrong."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(0, 255, (classes, size, size, 3))

    def images(labels):
        return np.clip(patterns[labels] + rng.normal(0, 60, (len(labels), size, size, 3)), 0, 255).astype(np.uint8)

    true = rng.integers(0, classes, count)
    given = np.where(rng.random(count) < 1 / 3, (true + 1) % classes, true)
    labels = {name: rng.integers(0, classes, 11 + place) for place, name in enumerate(tests)}
    return Data(
        train=images(true), given=given, is_noisy=given != true, knows_noise=True,
        test_images={name: images(value) for name, value in labels.items()}, tests=labels,
        class_names=tuple(map(str, range(classes))), mean=np.array([0.4, 0.5, 0.6]), std=np.array([0.2, 0.3, 0.25]),
        name="toy", version="1", fingerprint="0",
    )  # fmt: skip


def bits_of(path: Path) -> dict[str, bytes]:
    """Every tensor of a file of weights, as bytes."""
    return {name: value.numpy().tobytes() for name, value in torch.load(path, weights_only=True).items()}


def left_by(folder: Path) -> tuple[bytes, dict, dict]:
    """What two runs that are the same have in common, bit for bit."""
    average = folder / "model_ema.pth"
    return (
        (folder / "metrics.jsonl").read_bytes(),
        bits_of(folder / "model.pth"),
        bits_of(average) if average.exists() else {},
    )


def wait_for(ready: Callable[[], bool], process: subprocess.Popen) -> None:
    """Until it is ready; the process must not end before."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not ready():
        assert process.poll() is None, process.communicate()[1][-3000:]
        time.sleep(0.01)
