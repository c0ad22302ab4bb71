"""Learning curves of any run folders side by side: `python -m reproduce curves FOLDER… --out PICTURE.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproduce.errors import ReproduceError
from reproduce.record import METRICS, read_config, read_metrics, read_result
from reproduce.tables import new_figure, save_figure

# Panels in reading order: title and the metrics it shows, dashed from the second on; one without data is left out.
PANELS = {
    "test accuracy: averaged weights, raw weights": ("acc/ema_eval", "acc/eval"),
    "training and probe accuracy, given labels": ("acc/train", "acc/meta"),
    "mean weight of clean, of noisy examples (1 = uniform)": ("weights/clean", "weights/noisy"),
    "share of true labels taught: all, noisy examples": ("labels/recovered", "labels/recovered_noisy"),
    "share of true labels in the queue; dotted: in all data": ("queue/purity",),
    "margin of clean, of noisy examples": ("margin/clean", "margin/noisy"),
    "loss/net": ("loss/net",),
    "loss/meta": ("loss/meta",),
    "loss/xemin (MixUp)": ("loss/xemin",),
    "loss/consistency": ("loss/consistency",),
    "loss/pseudo": ("loss/pseudo",),
    "loss of clean, of noisy examples": ("loss/clean", "loss/noisy"),
    "test accuracy": ("accuracy/test",),
    "training accuracy, given labels": ("accuracy/train",),
    "training loss of clean, of noisy examples": ("loss/train_clean", "loss/train_noisy"),
    "test loss": ("loss/test",),
}
STYLES = ("-", "--")


def draw_curves(folders: list[Path], path: Path) -> None:
    """One colour a run, one panel a kind of metric. Raises: ReproduceError for a folder without metrics."""
    metrics = [_metrics(folder) for folder in folders]
    runs = dict(zip(map(_label, folders), metrics, strict=True))
    shares = [_share_of_true_labels(folder) for folder in folders]
    panels = {
        title: names
        for title, names in PANELS.items()
        if any(n in line for r in runs.values() for n in names for line in r)
    }
    figure = new_figure(11, 3.2 * ((len(panels) + 1) // 2))
    for number, (title, names) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot((len(panels) + 1) // 2, 2, number)
        for colour, (label, lines) in enumerate(runs.items()):
            for name, style in zip(names, STYLES, strict=False):
                _draw(axes, lines, name, f"C{colour}", style, label if name == names[0] else None)
            if names == ("queue/purity",) and shares[colour] is not None:
                axes.axhline(shares[colour], color=f"C{colour}", linestyle=":")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    figure.tight_layout()
    save_figure(figure, path)


def _draw(axes: Any, lines: list[dict[str, float]], name: str, colour: str, style: str, label: str | None) -> None:
    points = [(line["step"], line[name]) for line in lines if name in line]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, linestyle=style, marker=".", label=label)


def _share_of_true_labels(folder: Path) -> float | None:
    noise_rate = read_result(folder)["notes"].get("noise_rate")
    return 1 - noise_rate if isinstance(noise_rate, (int, float)) else None


def _label(folder: Path) -> str:
    """What tells the runs apart, with the name of the data they really had."""
    config, result = read_config(folder), read_result(folder)
    words = [
        str(config.get("method") or config.get("model") or result["sub_project"]),
        str(config.get("precision", "")),
        result["dataset"]["name"],
        *str(config.get("dataset", "")).split("_")[1:],  # the noise: uniform 0.8
    ]
    return (
        " ".join(word for word in words if word)
        + f", seed {result['seed']}"
        + ("" if result["finished"] else ", unfinished")
    )


def _metrics(folder: Path) -> list[dict[str, float]]:
    lines = read_metrics(folder) if (folder / METRICS).exists() else []
    if not lines:
        raise ReproduceError(f"{folder} has no evaluation in {METRICS} yet; give folders of runs that have")
    return lines
