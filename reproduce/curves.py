"""Learning curves of any run folders side by side: `python -m reproduce curves FOLDER… --out PICTURE.png`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.records.record_files import METRICS, read_config, read_metrics, read_result
from common.results.tables import new_figure, save_figure

# Panels in reading order: title and the metrics it shows, in STYLES; one without data is left out. A metric that is
# named nowhere here has a separate panel after these.
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
    "training loss": ("loss/train",),
    "contrast accuracy: first, among five": ("accuracy/contrast_top1", "accuracy/contrast_top5"),
    "cosine of query with key, queue, non-semantic view": ("similarity/key", "similarity/queue", "similarity/nonsem"),
    "accuracy on val/: first, among five": ("accuracy/val", "accuracy/val_top5"),
    "loss on val/": ("loss/val",),
}
STYLES = ("-", "--", ":")
NO_METRICS = {"step", "epoch"}


def draw_curves(folders: list[Path], path: Path) -> None:
    """One colour a run, one panel a kind of metric. Raises: UsageError for a folder without metrics."""
    runs = list(zip(labels(folders), [_metrics(folder) for folder in folders], strict=True))
    shares = [_share_of_true_labels(folder) for folder in folders]
    shown = panels({name for _, lines in runs for line in lines for name in line})
    figure = new_figure(11, 3.2 * ((len(shown) + 1) // 2))
    for number, (title, names) in enumerate(shown.items(), start=1):
        axes = figure.add_subplot((len(shown) + 1) // 2, 2, number)
        for colour, (label, lines) in enumerate(runs):
            logged = [
                (name, style) for name, style in zip(names, STYLES, strict=False) if any(name in x for x in lines)
            ]
            for name, style in logged:
                _draw(axes, lines, name, f"C{colour}", style, label if name == logged[0][0] else None)
            if names == ("queue/purity",) and shares[colour] is not None:
                axes.axhline(shares[colour], color=f"C{colour}", linestyle=":")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    save_figure(figure, path)


def panels(logged: Set[str]) -> dict[str, tuple[str, ...]]:
    """Titles with their metrics: those of PANELS that were logged, then every other metric in a separate panel."""
    known = {title: names for title, names in PANELS.items() if not logged.isdisjoint(names)}
    others = sorted(logged - NO_METRICS - {name for names in known.values() for name in names})
    return known | {name: (name,) for name in others}


def _draw(axes: Any, lines: list[dict[str, float]], name: str, colour: str, style: str, label: str | None) -> None:
    points = [(line["step"], line[name]) for line in lines if name in line]
    axes.plot(*zip(*points, strict=True), color=colour, linestyle=style, marker=".", label=label)


def _share_of_true_labels(folder: Path) -> float | None:
    noise_rate = read_result(folder)["notes"].get("noise_rate")
    return 1 - noise_rate if isinstance(noise_rate, (int, float)) else None


def labels(folders: Sequence[Path]) -> list[str]:
    """A name for each run that no other has: method and data; the settings in which runs of one name differ; its seed.

    Runs of the same settings and seed are told apart by their folders.
    """
    configs, results = [read_config(folder) for folder in folders], [read_result(folder) for folder in folders]
    names = list(map(_name, configs, results))
    labels = []
    for name, config, result in zip(names, configs, results, strict=True):
        alike = [other for other_name, other in zip(names, configs, strict=True) if other_name == name]
        keys = [key for key in config if _shown(key) and any(config[key] != other.get(key) for other in alike)]
        words = [name, *(f"{key} {config[key]}" for key in keys)]
        unfinished = "" if result["finished"] else ", unfinished"
        labels.append(f"{' '.join(words)}, seed {result['seed']}{unfinished}")
    return [
        label if labels.count(label) == 1 else f"{label} ({folder})"
        for label, folder in zip(labels, folders, strict=True)
    ]


def _name(config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Method and arithmetic, with the name of the data that the run really had, and the noise that its flag names."""
    words = [
        str(config.get("method") or config.get("model") or config.get("program") or result["sub_project"]),
        str(config.get("precision", "")),
        result["dataset"]["name"],
        *str(config.get("dataset", "")).split("_")[1:],  # uniform 0.8
    ]
    return " ".join(word for word in words if word)


def _shown(key: str) -> bool:
    """Whether a setting tells a reader something: not the seed, nor what follows from the others."""
    return key not in ("seed", "dataset") and not key.startswith("resolved_") and not key.endswith("_sha256")


def _metrics(folder: Path) -> list[dict[str, float]]:
    lines = read_metrics(folder) if (folder / METRICS).exists() else []
    if not lines:
        raise UsageError(f"{folder} has no evaluation in {METRICS} yet; give folders of runs that have")
    return lines
