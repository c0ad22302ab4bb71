"""Learning curves: test accuracy of the models under each noise, its last quarter, losses on clean and noisy labels."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from common.results.tables import new_figure, save_figure
from re_sln.settings.names import MODELS
from re_sln.tables.cell_of_run import SAMPLES
from re_sln.tables.result_tables import MAIN, grouped, is_ablation, is_published, name_of
from re_sln.tables.run_logs import Curve, LoggedRun

STYLES = {"paper": "-", "": "-", "custom": "--"}
SAMPLE_NAMES = {"paper": "authors' noise file", "custom": "custom noise"}
FEW = 20
LOSSES = {"loss/train_clean": ("clean labels", "#1a8a4c"), "loss/train_noisy": ("noisy labels", "#c23b3b")}
ALL_LOSS = ("all examples", "0.35")
ZOOM = 220 / 300  # epochs 220 to 300 of the published runs: label correction begins at 250
COLUMNS = 2


def draw_curves(runs: list[LoggedRun], folder: Path) -> None:
    """For each data set and setting `curves-<name>-{accuracy,zoom,loss}.png`; the ablation's runs have no picture."""
    folder.mkdir(parents=True, exist_ok=True)
    for (data, setting), group in grouped(runs).items():
        published = [run for run in group if is_published(run)]
        others = [run for run in group if not is_published(run) and not is_ablation(run)]
        known = MAIN[data].title.removesuffix(", test accuracy in percent") if published else ""
        for shown, (stem, title) in ((published, (data, known)), (others, name_of(data, setting))):
            if shown:
                _accuracy(shown, title, folder / f"curves-{stem}-accuracy.png", 0.0)
                _accuracy(shown, title, folder / f"curves-{stem}-zoom.png", ZOOM)
                _loss(shown, title, folder / f"curves-{stem}-loss.png")


def _accuracy(runs: list[LoggedRun], title: str, path: Path, start: float) -> None:
    """One panel a kind of noise, one colour a model; from the share `start` of the epochs on."""
    noises, models = _noises(runs), _rows(runs)
    columns = min(COLUMNS, len(noises))
    lines = -(-len(noises) // columns)
    figure = new_figure(5.2 * columns + 0.6, 3.3 * lines + 1.2)
    for number, noise in enumerate(noises, start=1):
        axes = figure.add_subplot(lines, columns, number)
        for run in (run for run in runs if run.place.column == noise):
            curve = _tail(run.curves["accuracy/test"], start)
            percents = [100 * value for _, value in curve]
            colour = _colour(run.place.row, models)
            axes.plot([epoch for epoch, _ in curve], percents, color=colour, **_style(run, runs, len(curve)))
        axes.set(title=_noise_title(noise), xlabel="epoch", ylabel="test accuracy (%)")
        axes.grid(alpha=0.3)
    handles = [_handle(_colour(model, models), "-", model) for model in models]
    _finish(figure, f"{title}: the last epochs" if start else title, handles + _style_handles(runs), path)


def _loss(runs: list[LoggedRun], title: str, path: Path) -> None:
    """A grid of noises × models: training loss on examples whose label is right, and wrong."""
    noises, models = _noises(runs), _rows(runs)
    figure = new_figure(3 * len(models) + 0.6, 2.6 * len(noises) + 1.3)
    knows = any(run.curves[tag] for run in runs for tag in LOSSES)
    shown = LOSSES if knows else {"loss/train_all": ALL_LOSS}
    for line, noise in enumerate(noises):
        for column, model in enumerate(models):
            axes = figure.add_subplot(len(noises), len(models), line * len(models) + column + 1)
            for run in (run for run in runs if (run.place.row, run.place.column) == (model, noise)):
                for tag, (_, colour) in shown.items():
                    if run.curves[tag]:
                        epochs, values = zip(*run.curves[tag], strict=True)
                        axes.plot(epochs, values, color=colour, **_style(run, runs, len(epochs)))
            axes.set(xlabel="epoch", ylabel="training loss", title=f"{model}, {noise}" if noise != "-" else model)
            axes.title.set_fontsize(9)
            axes.grid(alpha=0.3)
    handles = [_handle(colour, "-", label) for label, colour in shown.values()]
    _finish(figure, f"{title}: training loss", handles + _style_handles(runs), path)


def _finish(figure: Any, title: str, handles: list[Any], path: Path) -> None:
    """One legend for all panels, below them."""
    height = figure.get_figheight()
    figure.suptitle(textwrap.fill(title, int(11 * figure.get_figwidth())), fontsize=11, weight="bold")
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), fontsize=9, frameon=False)
    save_figure(figure, path, rect=(0, 0.4 / height, 1, 1))


def _colour(row: str, rows: list[str]) -> str:
    """The four models have the same colours in every picture; what else there is takes those that follow."""
    usual = list(MODELS.values())
    return f"C{[*usual, *(other for other in rows if other not in usual)].index(row)}"


def _handle(colour: str, style: Any, label: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linestyle=style, label=label)


def _style(run: LoggedRun, runs: list[LoggedRun], points: int) -> dict[str, Any]:
    """Solid, or dashed to tell custom noise from the authors'; few points are marked, one alone has no line."""
    line = STYLES[run.sample] if _both_samples(runs) else "-"
    return {"linestyle": line, "linewidth": 1, "marker": "." if points < FEW else None}


def _style_handles(runs: list[LoggedRun]) -> list[Any]:
    """What solid and dashed mean, where both are there."""
    return [_handle("black", STYLES[name], label) for name, label in SAMPLE_NAMES.items() if _both_samples(runs)]


def _both_samples(runs: list[LoggedRun]) -> bool:
    return {*SAMPLE_NAMES} <= {run.sample for run in runs}


def _tail(curve: Curve, start: float) -> Curve:
    last = curve[-1][0] if curve else 0
    return [(epoch, value) for epoch, value in curve if epoch >= start * last]


def _noises(runs: list[LoggedRun]) -> list[str]:
    """Kinds of noise, in the order of the tables."""
    return _ordered({run.place.column for run in runs}, list(SAMPLES))


def _rows(runs: list[LoggedRun]) -> list[str]:
    return _ordered({run.place.row for run in runs}, list(MODELS.values()))


def _ordered(names: set[str], usual: list[str]) -> list[str]:
    """By the first word, the usual ones first."""
    return sorted(names, key=lambda name: ([*usual, name.split(" ")[0]].index(name.split(" ")[0]), name))


def _noise_title(noise: str) -> str:
    return "labels as they come" if noise == "-" else f"{noise} noise" if " " not in noise else noise
