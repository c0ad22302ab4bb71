"""The demo of re_sln: its four models on noisy digits; what they memorise, in a table and pictures."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from common.results.tables import mean
from reproduce.cells import Table
from reproduce.demos.demo import draw, row_of, settings, shown, write
from reproduce.demos.pictures import learning_curves
from reproduce.engines.commands import python_of
from reproduce.runs import DONE, Run
from reproduce.tables.paper_tables import values_of

HEADER = ["model", "mean ± std", "n", "each seed", "best epoch's mean", "best − last"]
SHOWN = ("CE", "SLN-MO-LC")
PICTURES = {"pred_probs": "prediction_probabilities", "sample_dissect": "sample_dissection"}


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of the finished runs into `folder`; returns what to print."""
    done = [run for run in runs if run.state == DONE]
    rows = []
    for cell in table.cells:
        last = values_of(cell, done)
        best = [
            100 * run.result["best_on_test"]["accuracy"]["value"] for run in done if run.cell is cell and run.result
        ]
        gap = [f"{mean(best):.1f}", f"{mean(best) - mean(last):.1f}"] if last else ["-", "-"]
        rows.append([*row_of(cell, last), *gap])
    note = (
        f"Settings: {settings(table)}. Accuracy of the last epoch; std: sample standard deviation (n - 1). The best "
        "epoch is chosen on the test images and is no result: best − last shows how much a model lost by memorising. "
        "The data are small digits, so no published number is shown beside them."
    )
    label = "test accuracy (%) of the tested model"
    curves = partial(learning_curves, done, table.title, metric="accuracy/test", against="epoch", label=label)
    text, drawn = write(table, folder, HEADER, rows, note, {"learning_curves": curves})
    return shown(text, drawn + pictures(done, folder))


def pictures(done: list[Run], folder: Path) -> list[Path]:
    """How sure the first and the last model are, and of what, drawn by re_sln from their first seed's weights."""
    commands = {}
    for row in SHOWN:
        run = next((run for run in done if run.cell.row == row), None)
        if run is None or run.record_folder is None:
            continue
        for kind, name in PICTURES.items():
            path = folder / f"{row.lower()}_{name}.png"
            command = [python_of("pytorch"), "-m", "re_sln.plot", f"--exp_id={run.record_folder}"]
            commands[path] = [*command, f"--plot_type={kind}", f"--out={path}"]
    return draw(commands)
