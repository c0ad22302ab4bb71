"""Pictures of a run: how clean the queue of fsr is over the epochs, and what a class weighs on long-tailed data."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from common.records.record_files import read_metrics
from common.results.tables import picture
from common.results.weight_pictures import draw_class_weights, draw_queue_purity
from ieg.settings.dataset_name import DatasetName


def draw_pictures(folder: Path, dataset: DatasetName, true_share: float) -> list[Path]:
    """Draws what the records in `folder` have: queue_purity.png, class_weights.png. Returns what could be drawn.

    true_share: of the training labels, for comparison with the queue's.
    """
    noise = f", {dataset.ratio:g} {dataset.noise} noise" if dataset.ratio else ""
    drawn = []
    points = [(line["epoch"], line["queue/purity"]) for line in read_metrics(folder) if "queue/purity" in line]
    if points:
        epochs, shares = zip(*points, strict=True)
        title = f"Queue purity, {dataset.base}{noise}"
        curves = {"": (epochs, shares)}
        drawn += picture(folder / "queue_purity.png", partial(draw_queue_purity, curves, true_share, title))
    if dataset.imbalance is not None:
        title = f"Weight by class, {dataset.base}, imbalance {dataset.imbalance:g}{noise}"
        files = [folder / "example_weights.npz"]
        drawn += picture(folder / "class_weights.png", partial(draw_class_weights, {"": files}, title))
    return drawn
