"""What a trained network makes of its examples: counts, and pictures drawn from plain arrays, without a screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.results.tables import new_figure, save_figure

EDGES = np.linspace(0, 1, 100)  # of the largest softmax value
KINDS = ("label ✗ prediction ✗", "label ✗ prediction ✓", "label ✓ prediction ✗", "label ✓ prediction ✓")
CLEAN, NOISY = "tab:blue", "tab:red"
KIND_COLOURS = ("#b22222", "#f4a582", "#92c5de", "#2166ac")
BORDER = {"edgecolor": "white", "linewidth": 0.4}
LARGEST_LEGEND = 20


def largest_probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax value of the predicted class, float64 [n] in [1 / C, 1]. logits: float [n, C]."""
    below = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)  # [n, C], 0 for the predicted class
    return 1 / np.exp(below).sum(axis=1)


def count_probabilities(probabilities: np.ndarray) -> np.ndarray:
    """How many fall into each of the 99 bins between 100 edges from 0 to 1, int64 [99]; 1 itself is in the last."""
    return np.histogram(probabilities, EDGES)[0]


def draw_probabilities(path: Path, title: str, clean: np.ndarray, noisy: np.ndarray) -> None:
    """clean, noisy: counts of their examples, int64 [99]."""
    figure, axes = _figure(title)
    for name, counts, colour in (("clean", clean, CLEAN), ("noisy", noisy, NOISY)):
        label = f"{name} examples ({counts.sum():,})"
        axes.stairs(counts, EDGES, fill=True, color=colour, alpha=0.5, label=label)
        axes.stairs(counts, EDGES, color=colour, linewidth=0.8)
    axes.set(xlim=(0, 1), xlabel="probability of the predicted class", ylabel="examples")
    axes.legend(loc="upper left")
    save_figure(figure, path)


def dissect(losses: np.ndarray, label_right: np.ndarray, prediction_right: np.ndarray, bin_size: int) -> np.ndarray:
    """How many of each of KINDS are in each bin, int64 [bins, 4].

    losses: float [n]; label_right, prediction_right: bool [n]. Examples are put in order of their losses, equal ones in
    order of the data set, and cut into bins of bin_size, of which the last may hold fewer.
    """
    kind = 2 * label_right.astype(np.int64) + prediction_right  # [n], place in KINDS
    ordered = kind[np.argsort(losses, kind="stable")]
    bins = np.arange(len(ordered)) // bin_size
    counts = np.zeros((-(-len(ordered) // bin_size), len(KINDS)), np.int64)
    np.add.at(counts, (bins, ordered), 1)
    return counts


def draw_dissection(path: Path, title: str, counts: np.ndarray, bin_size: int) -> None:
    """counts: int64 [bins, 4], by KINDS."""
    figure, axes = _figure(title)
    edges = np.minimum(np.arange(len(counts) + 1) * bin_size, counts.sum())
    tops = np.zeros(len(counts))
    for kind, colour, column in zip(KINDS, KIND_COLOURS, counts.T, strict=True):
        axes.bar(edges[:-1], column, np.diff(edges), tops, align="edge", color=colour, label=kind, **BORDER)
        tops += column
    axes.set(xlim=(0, edges[-1]), ylim=(0, bin_size))
    axes.set(xlabel=f"examples by rising loss against the given label, {bin_size:,} a bar", ylabel="examples")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1, 1), frameon=False
    )  # as they are piled
    save_figure(figure, path)


def draw_map(path: Path, title: str, points: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    """points: float [n, 2]; labels: int64 [n], into names."""
    figure, axes = _figure(title)
    import matplotlib

    few = len(names) <= LARGEST_LEGEND
    colours = matplotlib.colormaps["tab10" if len(names) <= 10 else "tab20" if few else "hsv"]
    for label, name in enumerate(names):
        colour = colours(label if few else label / len(names))
        axes.scatter(*points[labels == label].T, s=12, color=colour, linewidths=0, label=name)
    axes.set(xticks=[], yticks=[])
    if few:
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, markerscale=2)
    else:
        axes.set_xlabel(f"one colour for each of the {len(names)} classes, neighbours in the list alike")
    save_figure(figure, path)


def _figure(title: str) -> tuple[Any, Any]:
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    return figure, axes
