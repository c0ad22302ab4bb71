"""The demo of FSR: weights without trusted images, on noisy labels and on a long tail; a table and pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from common.tables import format_mean, mean, new_figure, picture, sample_std, save_figure
from reproduce.cells import Table
from reproduce.demos.demo import row_of, write_table
from reproduce.demos.pictures import CLEAN, COLOURS, example_weights, learning_curves, metric_series
from reproduce.runs import DONE, Run
from reproduce.tables.paper_tables import values_of

DATA = {"noise": "60 % uniform noise", "tail": "long tail, 0.02"}
LABEL = "test accuracy (%), averaged weights"
HEADER = ["data", "method", "mean ± std", "n", "each seed", "last step", "probe images"]
NOTE = (
    "Accuracy of the averaged weights at the last cycle end; std: sample standard deviation (n - 1). Probe images: "
    "trusted ones, held out for L2R. Long tail: the smallest class has 0.02 times the examples of the largest, the "
    "test set as many of each. Settings: {settings}. The data are small digits, so no published number stands beside "
    "these."
)


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of the finished runs into `folder`; returns what to print."""
    folder.mkdir(parents=True, exist_ok=True)
    done = [run for run in runs if run.state == DONE]
    cells = [cell for column in table.columns for cell in table.cells if cell.column == column]
    rows = [
        [DATA[cell.column], *row_of(cell, values_of(cell, done)), *others([run for run in done if run.cell is cell])]
        for cell in cells
    ]
    text = write_table(folder, table.title, HEADER, rows, NOTE.format(settings=settings(table)))
    drawn = []
    for column in table.columns:
        own = partial(learning_curves, [run for run in done if run.cell.column == column], DATA[column])
        path = folder / f"learning_curves_{column}.png"
        drawn += picture(path, partial(own, metric="acc/ema_eval", against="step", label=LABEL))
    noisy = [run for run in done if run.cell.column == "noise"]
    drawn += picture(folder / "example_weights.png", partial(example_weights, noisy))
    drawn += picture(
        folder / "queue_purity.png", partial(queue_purity, [run for run in noisy if run.cell.row == "FSR"])
    )
    drawn += picture(folder / "class_weights.png", partial(class_weights, [r for r in done if r.cell.column == "tail"]))
    return f"{text}\nPictures: {', '.join(map(str, drawn))}"


def others(runs: list[Run]) -> list[str]:
    """Accuracy at the last step, and how many trusted images a run held out."""
    results = [run.result for run in runs if run.result]
    if not results:
        return ["-", "-"]
    last = [100 * result["metrics"]["accuracy_last_step"] for result in results]
    return [format_mean(mean(last), sample_std(last)), str(results[0]["notes"]["probe_images"])]


def settings(table: Table) -> str:
    """What all runs share."""
    shared = dict(table.cells[0].flags)
    for cell in table.cells:
        shared = {name: value for name, value in shared.items() if cell.flags.get(name) == value}
    return ", ".join(f"{name} {value}" for name, value in shared.items())


def queue_purity(runs: list[Run], path: Path) -> None:
    """Share of true labels in the queue over the epochs, a line a seed, beside that of all training labels."""
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    for run in runs:
        epochs, values = metric_series([run], "queue/purity", "epoch")
        axes.step(epochs, [100 * value for (value,) in values], where="post", color=CLEAN, label=f"seed {run.seed}")
    true = mean([100 * (1 - run.result["notes"]["noise_rate"]) for run in runs if run.result])
    axes.axhline(true, color="0.4", linestyle=":", label="whole training set, mean of the seeds")
    axes.set(xlabel="epoch", ylabel="true labels in the queue (%)", ylim=(0, 102))
    axes.set_title("FSR: how clean the queue is", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.tight_layout()
    save_figure(figure, path)


def class_weights(runs: list[Run], path: Path) -> None:
    """Mean of each example's last weight, by class from the largest to the smallest; mean and spread over seeds."""
    figure = new_figure(7, 4.2)
    axes = figure.add_subplot()
    methods = list(dict.fromkeys(run.cell.row for run in runs))
    names: list[str] = []
    for place, method in enumerate(methods):
        found = [by_class(run) for run in runs if run.cell.row == method]
        names = [f"{c}\n{count}" for c, (count, _) in enumerate(found[0])]
        values = [[weights[c][1] for weights in found] for c in range(len(names))]
        across = [c + 0.8 * ((place + 0.5) / len(methods) - 0.5) for c in range(len(names))]
        spread = [sample_std(own) or 0.0 for own in values]
        axes.bar(
            across, [mean(own) for own in values], 0.8 / len(methods), yerr=spread, label=method,
            color=COLOURS.get(method, "black"), error_kw={"linewidth": 0.8},
        )  # fmt: skip
    axes.axhline(1, color="0.4", linewidth=0.8, linestyle=":")
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set(xlabel="class, and its training examples for the first method", ylabel="mean last weight × batch size")
    axes.set_title("What an example of each class weighs, 1 = uniform", fontsize=10)
    axes.legend()
    figure.tight_layout()
    save_figure(figure, path)


def by_class(run: Run) -> list[tuple[int, float]]:
    """Examples and their mean last weight, by class; examples that were never drawn count only among the former."""
    import numpy as np

    assert run.record_folder is not None
    with np.load(run.record_folder / "example_weights.npz", allow_pickle=False) as file:
        weights: Any = file["weight"]
        labels: Any = file["label"]
    seen = ~np.isnan(weights)
    return [
        (int(np.sum(labels == c)), float(weights[seen & (labels == c)].mean()) if (seen & (labels == c)).any() else 0.0)
        for c in range(int(labels.max()) + 1)
    ]
