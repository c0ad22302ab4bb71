"""Pictures of weights and queue: how clean the queue of FSR is, and what an example of each class weighs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common.results.tables import mean, new_figure, sample_std, save_figure

BLUE, GREEN = "#1f6fb4", "#1a8a4c"
Curve = tuple[Sequence[float], Sequence[float]]  # epochs, shares of true labels


def draw_queue_purity(curves: Mapping[str, Curve], true_share: float, title: str, path: Path) -> None:
    """Share of true labels in the queue after each refill, a line for each label.

    true_share: of the whole training set, for comparison. An empty label is not in the legend.
    """
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    for label, (epochs, shares) in curves.items():
        percent = [100 * share for share in shares]
        axes.step(epochs, percent, where="post", color=GREEN, marker=".", label=label or "_nolegend_")
    axes.axhline(100 * true_share, color="0.4", linestyle=":", label=f"whole training set, {100 * true_share:.1f} %")
    axes.set(xlabel="epoch", ylabel="true labels in the queue (%)", ylim=(0, 102))
    _finish(figure, axes, title, path)


def draw_class_weights(methods: Mapping[str, Sequence[Path]], title: str, path: Path, colours: Any = None) -> None:
    """Mean of each example's last weight, by class from the largest to the smallest.

    methods: of each, the example_weights.npz of its seeds; bars show mean and sample deviation over them. colours: by
    method.
    """
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    names: list[str] = []
    for index, (method, files) in enumerate(methods.items()):
        seeds = [weights_by_class(file) for file in files]
        names = names or [f"{label}\n{count}" for label, count, _ in seeds[0]]
        values = [[weights[place][2] for weights in seeds] for place in range(len(names))]
        across = [place + 0.8 * ((index + 0.5) / len(methods) - 0.5) for place in range(len(names))]
        spread = [sample_std(of_class) or 0.0 for of_class in values] if len(files) > 1 else None
        axes.bar(
            across, list(map(mean, values)), 0.8 / len(methods), yerr=spread, label=method or "_nolegend_",
            color=(colours or {}).get(method, BLUE), error_kw={"linewidth": 0.8},
        )  # fmt: skip
    axes.axhline(1, color="0.4", linewidth=0.8, linestyle=":", label="uniform")
    if len(names) <= 20:
        axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="class, and its training examples; largest first", ylabel="mean last weight × batch size")
    _finish(figure, axes, title, path)


def weights_by_class(path: Path) -> list[tuple[int, int, float]]:
    """Class, its examples, and their mean last weight, the largest class first; NaN: an example never drawn.

    A class of which no example was drawn has the weight 0.
    """
    import numpy as np

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
    figure.tight_layout()
    save_figure(figure, path)
