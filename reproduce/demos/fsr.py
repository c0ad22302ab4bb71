"""The demo of FSR: weights without trusted images, on noisy labels and on a long tail; a table and pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from common.results.tables import format_mean, mean, sample_std
from common.results.weight_pictures import draw_class_weights, draw_queue_purity
from reproduce.cells import Table
from reproduce.demos.demo import LABEL, row_of, settings, shown, write
from reproduce.demos.pictures import COLOURS, by_method, example_weights, learning_curves, metric_series, weights_file
from reproduce.runs import DONE, Run
from reproduce.tables.paper_tables import values_of

DATA = {"noise": "60 % uniform noise", "tail": "long tail, 0.02"}
HEADER = ["data", "method", "mean ± std", "n", "each seed", "last step", "probe images"]
NOTE = (
    "Accuracy of the averaged weights at the last cycle end; std: sample standard deviation (n - 1). Probe images: "
    "trusted ones, held out for L2R. Long tail: the smallest class has 0.02 times the examples of the largest, the "
    "test set as many of each. Settings: {settings}. The data are small digits, so no published number is shown "
    "beside them."
)


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of the finished runs into `folder`; returns what to print."""
    done = [run for run in runs if run.state == DONE]
    cells = [cell for column in table.columns for cell in table.cells if cell.column == column]
    rows = [
        [DATA[cell.column], *row_of(cell, values_of(cell, done)), *others([run for run in done if run.cell is cell])]
        for cell in cells
    ]
    pictures: dict[str, Any] = {}
    for column in table.columns:
        curves = partial(learning_curves, [run for run in done if run.cell.column == column], DATA[column])
        pictures[f"learning_curves_{column}"] = partial(curves, metric="acc/ema_eval", against="step", label=LABEL)
    noisy = [run for run in done if run.cell.column == "noise"]
    pictures["example_weights"] = partial(example_weights, noisy)
    pictures["queue_purity"] = partial(queue_purity, [run for run in noisy if run.cell.row == "FSR"])
    pictures["class_weights"] = partial(class_weights, [run for run in done if run.cell.column == "tail"])
    return shown(*write(table, folder, HEADER, rows, NOTE.format(settings=settings(table)), pictures))


def others(runs: list[Run]) -> list[str]:
    """Accuracy at the last step, and how many trusted images a run held out."""
    results = [run.result for run in runs if run.result]
    if not results:
        return ["-", "-"]
    last = [100 * result["metrics"]["accuracy_last_step"] for result in results]
    return [format_mean(mean(last), sample_std(last)), str(results[0]["notes"]["probe_images"])]


def queue_purity(runs: list[Run], path: Path) -> None:
    """Share of true labels in the queue over the epochs, a line a seed."""
    curves = {}
    for run in runs:
        epochs, values = metric_series([run], "queue/purity", "epoch")
        curves[f"seed {run.seed}"] = (epochs, [value for (value,) in values])
    true_share = mean([1 - run.result["notes"]["noise_rate"] for run in runs if run.result])
    draw_queue_purity(curves, true_share, "FSR: how clean the queue is", path)


def class_weights(runs: list[Run], path: Path) -> None:
    """Mean of each example's last weight, by class."""
    files = {method: [weights_file(run) for run in of_method] for method, of_method in by_method(runs).items()}
    draw_class_weights(files, "What an example of each class weighs, 1 = uniform", path, COLOURS)
