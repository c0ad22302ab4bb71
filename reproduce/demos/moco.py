"""The demo of moco_nonsem: MoCo v2 with and without patch negatives; what decides, shape or texture."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from common.results.tables import format_mean, mean, sample_std
from reproduce.cells import Cell, Table
from reproduce.demos.demo import draw, row_of, shown, write
from reproduce.demos.pictures import method_dots
from reproduce.engines.commands import python_of
from reproduce.runs import DONE, Run

HEADER = ["quantity", "method", "mean ± std", "n", "each seed"]
QUANTITIES = {
    "agreeing": "accuracy, texture agrees",
    "conflicting": "accuracy, texture conflicts",
    "by_texture": "texture decisions, texture conflicts",
    "shape_bias": "shape bias",
}
CHANCE, EVEN = 100 / 8, 50.0


def summarise(table: Table, runs: list[Run], folder: Path) -> str:
    """Write table and pictures of the finished runs into `folder`; returns what to print."""
    done = [run for run in runs if run.state == DONE]
    rows, panels = [], {}
    for column, name in QUANTITIES.items():
        cells = [cell for cell in table.cells if cell.column == column]
        values = [by_seed(cell, done) for cell in cells]
        rows += [[name, *row_of(cell, list(seeds.values()))] for cell, seeds in zip(cells, values, strict=True)]
        rows.append([name, *difference_row(values)])
        panels[name] = {cell.row: list(seeds.values()) for cell, seeds in zip(cells, values, strict=True)}
    marks = {name: EVEN if column == "shape_bias" else CHANCE for column, name in QUANTITIES.items()}
    dots = {"shape_and_texture": partial(method_dots, panels, marks)}
    text, drawn = write(table, folder, HEADER, rows, note(table), dots)
    return shown(text, drawn + pictures(table, done, folder))


def by_seed(cell: Cell, done: list[Run]) -> dict[int, float]:
    """The cell's number in percent, of each seed."""
    return {run.seed: 100 * run.result["metrics"][cell.metric] for run in done if run.cell is cell and run.result}


def difference_row(methods: list[dict[int, float]]) -> list[str]:
    """The last method minus the first, seed by seed: both begin with the same weights and see the same batches."""
    first, last = methods[0], methods[-1]
    values = [last[seed] - first[seed] for seed in first if seed in last]
    centre = format_mean(mean(values), sample_std(values)) if values else "-"
    return ["difference", centre, str(len(values)), ", ".join(f"{value:+.1f}" for value in values)]


def note(table: Table) -> str:
    """How the numbers were made."""
    pretrain = table.cells[-1].stages[0].flags | table.cells[-1].flags["pretrain"]
    given = dict(word.removeprefix("--").split("=", 1) for word in table.prepare if word.startswith("--"))
    low, high = pretrain["patch-ratio"]
    return (
        f"{pretrain['arch']} at {pretrain['image-size']} pixels, pre-trained for {pretrain['epochs']} epochs of "
        f"{int(given['train']):,} images, batch {pretrain['batch-size']}, --bn-splits {pretrain['bn-splits']}, queue "
        f"{pretrain['moco-k']}, momentum {pretrain['moco-m']}; α {pretrain['alpha']}, patches of {low} to {high} "
        f"pixels. The linear classifier is trained on the same images, {100 * float(given['agreement']):g} % of which "
        "have the texture of their class. Shape bias: shape decisions / (shape + texture decisions) on the "
        f"{int(given['conflict']):,} test images whose texture conflicts. Chance is 12.5 % for accuracies. Last epoch "
        "of the classifier; std: sample standard deviation (n - 1) over seeds of the training, on one set of images. "
        "Drawn images and a small encoder that is not in the papers, so no published number is shown beside them."
    )


def pictures(table: Table, done: list[Run], folder: Path) -> list[Path]:
    """Images, views, and what is similar to what over training, drawn by moco_nonsem and preprocess."""
    (images,) = (word.partition("=")[2] for word in table.prepare if word.startswith("--path="))
    pretrain = table.cells[-1].stages[0].flags | table.cells[-1].flags["pretrain"]
    size, patches = str(pretrain["image-size"]), map(str, pretrain["patch-ratio"])
    seed = min(run.seed for run in done)
    first = dict.fromkeys(str(run.folder / "pretrain") for run in done if run.seed == seed)
    python = [python_of("pytorch"), "-m"]
    words = {
        "images.png": ["preprocess.shapes_textures", "--size", size, "--sheet"],
        "views.png": ["moco_nonsem.view_sheet", images, "--image-size", size, "--patch-ratio", *patches, "--out"],
        "similarity.png": ["moco_nonsem.similarity_curves", *first, "--out"],
    }
    return draw({folder / name: [*python, *command, str(folder / name)] for name, command in words.items()})
