"""A run of ieg beside the authors' log, bin by bin: `python -m reproduce.side_by_side RUN LOG.csv --out STEM`.

The run needs `--log_freq=1`. Both logs keep accuracies as means since the last evaluation, ours keeps losses so too;
each step's own value is computed back from these means before steps are put into bins.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from common.errors import UsageError
from common.flags import Parser
from common.program import guarded
from common.records.record_files import read_metrics
from common.results.tables import csv_text, mean, new_figure, picture, sample_std, save_figure
from common.storage.files import atomic_write

Series = Mapping[int, float]  # step to value
# Title, and what the authors and we call it; their loss/net is the sum of all terms, ours is the first of them.
QUANTITIES = {
    "probe loss": ("loss/meta", ("loss/meta",)),
    "MixUp loss": ("loss/xemin", ("loss/xemin",)),
    "consistency loss": ("loss/consistency", ("loss/consistency",)),
    "sum of all losses": ("loss/net", ("loss/net", "loss/xemin", "loss/consistency", "loss/regularization")),
    "probe accuracy": ("acc/meta", ("acc/meta",)),
    "accuracy on given labels": ("acc/train", ("acc/train",)),
    "zero weights": ("weights/zeroratio", ("weights/zeroratio",)),
}
TEST = ("acc/eval_on_train", "acc/ema_eval")  # test accuracy of the averaged weights, the authors' name and ours
FARTHEST = 1e15
RUNNING = {"acc/meta", "acc/train"}  # the authors' log has means since the last evaluation
SIDES = (("authors' program", 3, "C1"), ("ours", 5, "C0"))  # label, column of HEADER, colour
HEADER = ["quantity", "first step", "last step", "authors", "authors' spread", "ours", "our spread"]


def own_values(means: Series, evaluations: Iterable[int]) -> dict[int, float]:
    """Each step's value xₙ = n·mₙ − (n−1)·mₙ₋₁ from the means mₙ of the n steps since the last evaluation.

    Args: means of every step from the first on; evaluations: steps after which a mean starts anew.
    """
    starts, values = {0, *evaluations}, {}
    start = 0
    for step in sorted(means):
        if step - 1 in starts:
            start = step - 1
        n = step - start
        values[step] = n * means[step] - (n - 1) * means.get(step - 1, 0.0) if n > 1 else means[step]
    return values


def binned(values: Series, size: int, last: int) -> list[tuple[int, int, float, float | None]]:
    """Mean and sample standard deviation of the steps of each bin 1…size, size+1…2·size, … up to `last`."""
    bins = []
    for first in range(1, last + 1, size):
        members = [values[step] for step in range(first, min(first + size, last + 1)) if step in values]
        if members:
            bins.append((first, min(first + size - 1, last), mean(members), sample_std(members)))
    return bins


def compare(authors: Mapping[str, Series], ours: Mapping[str, Series], size: int) -> list[list[Any]]:
    """Rows of HEADER, of the steps that both have."""
    rows = []
    for title, (name, parts) in QUANTITIES.items():
        total = {step: sum(ours[part][step] for part in parts) for step in ours[parts[0]]}
        last = min(max(authors[name]), max(total))
        pairs = zip(binned(authors[name], size, last), binned(total, size, last), strict=True)
        rows += [[title, first, end, *one, *other[2:]] for (first, end, *one), other in pairs]
    return rows


def read_authors(path: Path) -> dict[str, dict[int, float]]:
    """{column: {step: value}} of their log. Raises: UsageError for a file that is not such a log."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
        names = [*(name for name, _ in QUANTITIES.values()), TEST[0]]
        log = {name: {int(line["step"]): float(line[name]) for line in lines} for name in names}
        values = [value for column in log.values() for value in (*column, *column.values())]
        if not values or not all(abs(value) < FARTHEST for value in values):
            raise ValueError("it holds no step, or a number that is none")
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{path} is not a log of the authors' ieg ({error!r}): its columns are step, loss/net, …"
        ) from error
    # both accuracies are exactly 0 in the line after an evaluation, which counts no step yet
    empty = [step for step in log["acc/train"] if log["acc/train"][step] == 0 == log["acc/meta"][step]]
    log[TEST[0]] = {step - 1: log[TEST[0]][step] for step in empty if log[TEST[0]][step]}
    for name in RUNNING:
        log[name] = own_values({step: value for step, value in log[name].items() if step not in empty}, empty)
    return log


def read_run(folder: Path) -> dict[str, dict[int, float]]:
    """{metric: {step: value}} of a run's TensorBoard files, and its test accuracies.

    Raises: UsageError where steps are missing.
    """
    if not os.path.isdir(folder / "tensorboard"):
        raise UsageError(f"{folder} holds no tensorboard/: name the folder of a run of ieg")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    lines = read_metrics(folder)
    evaluations = [int(line["step"]) for line in lines]
    names = sorted({part for _, parts in QUANTITIES.values() for part in parts})
    run = {}
    for name in names:
        if name not in events.Tags()["tensors"]:
            raise UsageError(f"{folder} has no {name} in its tensorboard/: it is not a run of ieg")
        means = {event.step: float(scalar(event)) for event in events.Tensors(name)}
        if sorted(means) != list(range(1, len(means) + 1)):
            raise UsageError(f"{folder} does not have every step of {name}: train with --log_freq=1")
        run[name] = own_values(means, evaluations)
    return run | {TEST[1]: {int(line["step"]): line[TEST[1]] for line in lines if TEST[1] in line}}


def scalar(event: Any) -> Any:
    """The number in a TensorBoard event."""
    from tensorboard.util.tensor_util import make_ndarray

    return make_ndarray(event.tensor_proto)


def draw(rows: list[list[Any]], tests: tuple[Series, Series], path: Path) -> None:
    """A panel a quantity: mean and spread of each bin, the authors' and ours; then test accuracies, as evaluated."""
    titles = list(QUANTITIES)
    figure = new_figure(11, 2.6 * (len(titles) // 2 + 1))
    panels = [figure.add_subplot(len(titles) // 2 + 1, 2, number + 1) for number in range(len(titles) + 1)]
    for axes, title in zip(panels, titles, strict=False):
        bins = [row for row in rows if row[0] == title]
        middles = [(row[1] + row[2]) / 2 for row in bins]
        for label, column, colour in SIDES:
            centre = [row[column] for row in bins]
            spread = [row[column + 1] or 0 for row in bins]
            axes.plot(middles, centre, colour, label=label)
            low, high = ([c + sign * s for c, s in zip(centre, spread, strict=True)] for sign in (-1, 1))
            axes.fill_between(middles, low, high, color=colour, alpha=0.2, linewidth=0)
    last = max(row[2] for row in rows)
    for test, (label, _, colour) in zip(tests, SIDES, strict=True):
        steps = [step for step in sorted(test) if step <= last]
        panels[-1].plot(steps, [test[step] for step in steps], "o-", color=colour, label=label)
    for axes, title in zip(panels, [*titles, "test accuracy (averaged weights)"], strict=True):
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    save_figure(figure, path)


def run(argv: list[str] | None) -> None:
    """Write STEM.csv and STEM.png."""
    parser = Parser(prog="python -m reproduce.side_by_side", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of our run, trained with --log_freq=1")
    parser.add_argument("log", type=Path, help="the authors' log as CSV: step, loss/net, loss/meta, …")
    parser.add_argument("--bins", type=int, default=50, help="steps in a bin (default 50)")
    parser.add_argument("--out", type=Path, required=True, help="STEM of STEM.csv and STEM.png")
    arguments = parser.parse_args(argv)
    if arguments.bins < 2:
        raise UsageError(f"--bins={arguments.bins}: a bin has a spread from 2 steps on")
    authors, ours = read_authors(arguments.log), read_run(arguments.run)
    rows, tests = compare(authors, ours, arguments.bins), (authors[TEST[0]], ours[TEST[1]])
    atomic_write(arguments.out.with_suffix(".csv"), csv_text(HEADER, rows))
    drawn = picture(arguments.out.with_suffix(".png"), lambda path: draw(rows, tests, path))
    print("wrote " + " and ".join(map(str, [arguments.out.with_suffix(".csv"), *drawn])))


def main(argv: list[str] | None = None) -> int:
    """Exit status."""
    return guarded(lambda: run(argv), "interrupted; nothing was written")


if __name__ == "__main__":
    raise SystemExit(main())
