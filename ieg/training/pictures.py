"""Pictures of a run: how clean the queue of fsr is over the epochs, and what a class weighs on long-tailed data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common.records.record_files import read_metrics
from common.results.tables import new_figure, picture, save_figure
from ieg.settings.dataset_name import DatasetName

BLUE, GREEN = "#1f6fb4", "#1a8a4c"


def draw_pictures(folder: Path, dataset: DatasetName, true_share: float) -> list[Path]:
    """Draws what the records in `folder` have: queue_purity.png, class_weights.png. Returns what could be drawn.

    true_share: of the training labels, for comparison with the queue's.
    """
    noise = f", {dataset.ratio:g} {dataset.noise} noise" if dataset.ratio else ""
    drawn = []
    points = [(line["epoch"], line["queue/purity"]) for line in read_metrics(folder) if "queue/purity" in line]
    if points:
        title = f"Queue purity, {dataset.base}{noise}"
        drawn += picture(folder / "queue_purity.png", partial(draw_queue_purity, points, true_share, title))
    if dataset.imbalance is not None:
        title = f"Weight by class, {dataset.base}, imbalance {dataset.imbalance:g}{noise}"
        file = folder / "example_weights.npz"
        drawn += picture(folder / "class_weights.png", partial(draw_class_weights, file, title))
    return drawn


def draw_queue_purity(points: Sequence[tuple[float, float]], true_share: float, title: str, path: Path) -> None:
    """Share of true labels in the queue after each refill; points: epoch, share. true_share: of the training set."""
    epochs, shares = zip(*points, strict=True)
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    axes.step(epochs, [100 * share for share in shares], where="post", color=GREEN, marker=".")
    axes.axhline(100 * true_share, color="0.4", linestyle=":", label=f"whole training set, {100 * true_share:.1f} %")
    axes.set(xlabel="epoch", ylabel="true labels in the queue (%)", ylim=(0, 102))
    _finish(figure, axes, title, path)


def draw_class_weights(file: Path, title: str, path: Path) -> None:
    """Mean of each example's last weight in an example_weights.npz, by class from the largest to the smallest."""
    classes = weights_by_class(file)
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    axes.bar(range(len(classes)), [weight for _, _, weight in classes], 0.8, color=BLUE)
    axes.axhline(1, color="0.4", linewidth=0.8, linestyle=":", label="uniform")
    if len(classes) <= 20:
        axes.set_xticks(range(len(classes)), [f"{label}\n{count}" for label, count, _ in classes], fontsize=8)
    axes.set(xlabel="class, and its training examples; largest first", ylabel="mean last weight × batch size")
    _finish(figure, axes, title, path)


def weights_by_class(path: Path) -> list[tuple[int, int, float]]:
    """Class, its examples, and their mean last weight, the largest class first; NaN: an example never drawn.

    A class of which no example was drawn has the weight 0.
    """
    with np.load(path, allow_pickle=False) as file:
        weights, labels = file["weight"], file["label"]
    counts = np.bincount(labels)
    found = []
    for label in np.argsort(-counts, kind="stable"):
        drawn = weights[(labels == label) & ~np.isnan(weights)]
        found.append((int(label), int(counts[label]), float(drawn.mean()) if len(drawn) else 0.0))
    return found


def _finish(figure: Any, axes: Any, title: str, path: Path) -> None:
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    save_figure(figure, path)
