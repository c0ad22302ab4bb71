"""Pictures of the demo: how accuracy grows, and what weights the methods give clean and noisy examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.errors import RecordError
from common.records.record_files import read_metrics
from common.results.tables import mean, new_figure, sample_std, save_figure
from reproduce.runs import Run

COLOURS = {"supervised": "#7f7f7f", "L2R": "#d98200", "IEG": "#1f6fb4"}
CLEAN, NOISY = "#1a8a4c", "#c23b3b"
WEIGHTS = "example_weights.npz"


def learning_curves(runs: list[Run], title: str, path: Path) -> None:
    """Test accuracy of the averaged weights over the steps: mean over seeds, band of one sample deviation."""
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    for method, of_method in _by_method(runs).items():
        steps, series = _metric_series(of_method, "acc/ema_eval")
        centre = [100 * mean(values) for values in series]
        spread = [100 * (sample_std(values) or 0.0) for values in series]
        colour = COLOURS.get(method, "black")
        axes.plot(steps, centre, color=colour, label=f"{method} (n = {len(of_method)})")
        low, high = ([c + sign * s for c, s in zip(centre, spread, strict=True)] for sign in (-1, 1))
        axes.fill_between(steps, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.set(xlabel="step", ylabel="test accuracy (%), averaged weights", title=title)
    axes.title.set_fontsize(10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    save_figure(figure, path)


def example_weights(runs: list[Run], path: Path) -> None:
    """Left: mean weight of clean and of noisy examples during training. Right: each example's last weight."""
    import numpy as np

    methods = {method: of_method for method, of_method in _by_method(runs).items() if _has_weights(of_method)}
    if not methods:
        raise RecordError(f"none of the runs has {WEIGHTS} and weights/clean, weights/noisy in metrics.jsonl")
    figure = new_figure(10, 3.3 * len(methods))
    from matplotlib.ticker import LogFormatter, NullFormatter  # after new_figure, which says how it draws

    for number, (method, of_method) in enumerate(methods.items()):
        left = figure.add_subplot(len(methods), 2, 2 * number + 1)
        for name, colour in (("clean", CLEAN), ("noisy", NOISY)):
            steps, series = _metric_series(of_method, f"weights/{name}")
            left.plot(steps, [mean(values) for values in series], color=colour, label=f"{name} examples")
        left.axhline(1, color="0.6", linewidth=0.8, linestyle=":")
        left.set(xlabel="step", ylabel="mean weight × batch size", title=f"{method}: mean weight, 1 = uniform")
        left.legend()
        right = figure.add_subplot(len(methods), 2, 2 * number + 2)
        weights, clean = _last_weights(of_method)
        edges = np.linspace(0, max(1.0, float(np.quantile(weights, 0.99))), 31)
        for name, colour, chosen in (("clean", CLEAN, clean), ("noisy", NOISY, ~clean)):
            shown = np.clip(weights[chosen], None, edges[-1])
            share = np.full(len(shown), 1 / max(1, len(shown)))
            right.hist(
                shown, edges, weights=share, histtype="step", linewidth=1.5, color=colour, label=f"{name} examples"
            )
        right.set(
            xlabel="last weight × batch size", ylabel="share of examples", title=f"{method}: each example's last weight"
        )
        right.set_yscale("log")
        right.yaxis.set_major_formatter(LogFormatter())
        right.yaxis.set_minor_formatter(NullFormatter())
        right.legend()
    save_figure(figure, path)


def _by_method(runs: list[Run]) -> dict[str, list[Run]]:
    """The runs of each method."""
    methods: dict[str, list[Run]] = {}
    for run in runs:
        methods.setdefault(run.cell.row, []).append(run)
    return methods


def _metrics(run: Run) -> list[dict[str, float]]:
    assert run.record_folder is not None
    return read_metrics(run.record_folder)


def _has_weights(runs: list[Run]) -> bool:
    """Whether all runs have weights, and not the same for every example: then there is nothing to see."""
    logs = [_metrics(run) for run in runs]
    logged = all(any("weights/noisy" in line for line in log) for log in logs)
    kept = all(_weights_file(run).exists() for run in runs)
    return (
        kept and logged and any(not line["weights/clean"] == line["weights/noisy"] == 1 for log in logs for line in log)
    )


def _metric_series(runs: list[Run], name: str) -> tuple[list[float], list[list[float]]]:
    """The steps at which every seed has this metric, and its values there."""
    curves = [{line["step"]: line[name] for line in _metrics(run) if name in line} for run in runs]
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return steps, [[curve[step] for curve in curves] for step in steps]


def _weights_file(run: Run) -> Path:
    """The last weight of each example."""
    assert run.record_folder is not None
    return run.record_folder / WEIGHTS


def _last_weights(runs: list[Run]) -> tuple[Any, Any]:
    """Last weight and cleanness of every example that was seen, over all seeds."""
    import numpy as np

    weights, clean = [], []
    for run in runs:
        with np.load(_weights_file(run), allow_pickle=False) as file:
            seen = ~np.isnan(file["weight"])
            weights.append(file["weight"][seen])
            clean.append(file["is_clean"][seen])
    return np.concatenate(weights), np.concatenate(clean)
