"""One picture a claim: the effects with their intervals, and the curves of the cells behind them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.results.tables import new_figure, save_figure
from reproduce.claims.definitions import UNITS
from reproduce.claims.verdicts import Effect, Finding

HOLDS, FAILS = "#1a8a4c", "#c23b3b"


def draw(finding: Finding, records: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Left: each comparison's mean, 95 % interval, seeds and bound. Right: the curves of its cells, mean ± std."""
    units = list(dict.fromkeys(found.comparison.unit for found in finding.effects))
    figure = new_figure(9, max(2.6, 1.1 + 0.45 * len(finding.effects)))
    places = figure.add_gridspec(len(units), 2, width_ratios=(1, 1.1))
    for number, unit in enumerate(units):
        own = [found for found in finding.effects if found.comparison.unit == unit]
        _effects(figure.add_subplot(places[number, 0]), own, unit)
    _curves(figure.add_subplot(places[:, 1]), finding, records)
    save_figure(figure, path)


def _effects(axes: Any, effects: list[Effect], unit: str) -> None:
    for place, found in enumerate(effects):
        colour = HOLDS if found.gain > 0 else FAILS
        low, high = found.interval
        axes.plot(found.values, [place + 0.22] * len(found.values), "o", color=colour, alpha=0.35, markersize=3)
        axes.errorbar(
            found.mean, place, xerr=[[found.mean - low], [high - found.mean]], fmt="s", color=colour, capsize=3
        )
        axes.plot([found.comparison.bound] * 2, [place - 0.4, place + 0.4], color="0.4", linewidth=1, linestyle=":")
    axes.set_yticks(range(len(effects)), [found.comparison.name for found in effects], fontsize=7)
    axes.set_ylim(len(effects) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlabel(f"effect ({unit})" if UNITS[unit][0] != 1 or unit else "effect", fontsize=8)
    axes.grid(axis="x", alpha=0.3)


def _curves(axes: Any, finding: Finding, records: Mapping[str, Mapping[str, Any]]) -> None:
    metric, against = finding.claim.curve
    names = dict.fromkeys(cell for found in finding.effects for cell in reversed(found.comparison.cells))
    for number, name in enumerate(names):
        line = records[name]["curves"].get(metric)
        if not line or not line["x"]:
            continue
        colour = f"C{number % 10}"
        label, style = finding.claim.label(name), "-" if number < 10 else "--"
        axes.plot(line["x"], line["mean"], color=colour, linestyle=style, label=label)
        low, high = ([m + sign * s for m, s in zip(line["mean"], line["std"], strict=True)] for sign in (-1, 1))
        axes.fill_between(line["x"], low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_title(metric, fontsize=8)
    axes.set_xlabel(against, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize=6)
