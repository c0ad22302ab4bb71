"""Pictures of a run: how clean the queue of fsr is over the epochs, and what a class weighs on long-tailed data."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.record_files import read_metrics
from common.tables import new_figure, picture, save_figure
from ieg.settings.dataset_name import DatasetName

INK, FAINT = "#1f4e79", "#999999"


def draw_pictures(folder: Path, dataset: DatasetName, true_share: float) -> list[Path]:
    """Draws what the records in `folder` have: queue_purity.png, class_weights.png. Returns what could be drawn.

    true_share: of the training labels, for comparison with the queue's.
    """
    lines = read_metrics(folder)
    drawn = []
    if any("queue/purity" in line for line in lines):
        drawn += picture(folder / "queue_purity.png", lambda path: draw_purity(lines, true_share, dataset, path))
    if dataset.imbalance is not None:
        with np.load(folder / "example_weights.npz") as file:
            weights, labels = file["weight"], file["label"]
        drawn += picture(folder / "class_weights.png", lambda path: draw_class_weights(weights, labels, dataset, path))
    return drawn


def draw_purity(lines: list[dict], true_share: float, dataset: DatasetName, path: Path) -> None:
    """Share of true labels in the queue after each refill, beside that of the training set."""
    figure, axes = one_plot()
    points = [(line["epoch"], 100 * line["queue/purity"]) for line in lines if "queue/purity" in line]
    axes.plot(*zip(*points, strict=True), color=INK, marker="o", markersize=3, drawstyle="steps-post")
    axes.axhline(100 * true_share, color=FAINT, linestyle="--")
    axes.annotate(
        f"whole training set, {100 * true_share:.1f} %", (points[-1][0], 100 * true_share), color="#555555",
        xytext=(0, 4), textcoords="offset points", ha="right", fontsize=9,
    )  # fmt: skip
    axes.set(xlabel="epoch", ylabel="true labels in the queue (%)", ylim=(0, 102))
    axes.set_title(f"Queue purity, {dataset.base} with {dataset.ratio:g} {dataset.noise} noise", fontsize=10)
    save_figure(figure, path)


def draw_class_weights(weights: np.ndarray, labels: np.ndarray, dataset: DatasetName, path: Path) -> None:
    """Mean of the last weight of every example, by class from the largest to the smallest; 1 is plain training."""
    figure, axes = one_plot()
    order = np.argsort(-np.bincount(labels, minlength=dataset.num_classes), kind="stable")
    means = [np.nanmean(weights[labels == c]) if np.isfinite(weights[labels == c]).any() else 0 for c in order]
    axes.bar(np.arange(dataset.num_classes), means, color=INK)
    axes.axhline(1, color=FAINT, linestyle="--")
    if dataset.num_classes <= 20:
        names = [f"{c}\n{np.sum(labels == c)}" for c in order]
        axes.set_xticks(np.arange(dataset.num_classes), names, fontsize=8)
    axes.set(xlabel="class, and its training examples; largest first", ylabel="mean weight (1 = plain training)")
    noise = f", {dataset.ratio:g} {dataset.noise} noise" if dataset.ratio else ""
    axes.set_title(f"Weight by class, {dataset.base}, imbalance {dataset.imbalance:g}{noise}", fontsize=10)
    save_figure(figure, path)


def one_plot():
    """One pair of axes without a frame on two sides."""
    figure = new_figure(6.4, 4.0)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
