"""What is run, in which order, and how much of it fits into the minutes that are left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

MODELS = ("ce", "sln", "sln-mo", "sln-mo-lc")
NOISES = ("sym", "asym", "dependent")  # of which the authors published files
SEEDS = (123, 124, 125)
STEPS = 391  # of an epoch: 50,000 images in batches of 128
# How a step is carried out: flags of the program, and how long the first epoch takes beyond the others.
SETTINGS: Mapping[str, tuple[tuple[str, ...], float]] = {
    "captured": (("--capture_steps",), 15.0),
    "compiled, captured": (("--capture_steps", "--compile"), 120.0),
    "as it is": ((), 5.0),
}
GUESS = 1.0  # seconds of an epoch, before any is measured
START = 15.0  # seconds until a program trains: its imports, data, and the first use of the GPU
SPEED_SECONDS, KERNEL_SECONDS = 150.0, 120.0


@dataclass(frozen=True)
class Item:
    """One thing to do. kind: speed (of a step under each setting), run (training), kernels (of a MoCo step)."""

    kind: str
    noise: str = ""
    model: str = ""
    seed: int = 0

    @property
    def name(self) -> str:
        """Also its place in the working folder."""
        return f"{self.noise}-{self.model}/seed_{self.seed}" if self.kind == "run" else self.kind


def everything() -> list[Item]:
    """In the order of the work: four models on one noise, MoCo's kernels, the other noises, more seeds."""
    runs = [Item("run", noise, model, seed) for seed in SEEDS for noise in NOISES for model in MODELS]
    return [Item("speed"), *runs[: len(MODELS)], Item("kernels"), *runs[len(MODELS) :]]


def fitting(items: Iterable[Item], seconds_of: Callable[[Item], float], left: float) -> list[tuple[Item, float]]:
    """(item, its seconds) of those that fit, one after the other, into `left` seconds.

    One that does not fit is left out, and so are the runs after it: a later one would only show less of the table.
    """
    chosen, closed = [], set[str]()
    for item in items:
        seconds = seconds_of(item)
        if item.kind in closed:
            continue
        if seconds > left:
            closed.add(item.kind)
            continue
        chosen.append((item, seconds))
        left -= seconds
    return chosen


def flags_of(item: Item, epochs: int) -> list[str]:
    """The flags of re_sln.train_cifar that make the run, σ being the published one of its noise."""
    models = {
        "ce": ["--sigma=0"],
        "sln": [],
        "sln-mo": ["--mo"],
        "sln-mo-lc": ["--mo", f"--lc_n_epoch={max(1, epochs * 5 // 6)}"],
    }
    return [
        "--dataset_name=cifar10", f"--noise_mode={item.noise}", "--p=0.4", "--batch_size=128", "--lr=0.001",
        f"--n_epochs={epochs}", f"--seed={item.seed}", *models[item.model],
    ]  # fmt: skip


def fastest(step_seconds: Mapping[str, float], epochs: int, without: Iterable[str] = ()) -> str:
    """The setting under which a run takes least time; if none was measured, the first. without: those that failed."""
    left = [name for name in SETTINGS if name not in without] or ["as it is"]
    seconds = {name: step_seconds[name] * STEPS * epochs + SETTINGS[name][1] for name in left if name in step_seconds}
    return min(seconds, key=seconds.__getitem__) if seconds else left[0]
