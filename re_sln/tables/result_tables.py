"""The published tables with what the runs gave beside what was published; one more table for any other setting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import yaml

from common.results.published import PUBLISHED, references
from common.results.result_table import Result, ResultTable, note
from common.results.tables import STATISTICS, mean
from common.storage.text_files import read_text
from re_sln.settings.names import MODELS
from re_sln.settings.published_settings import TASKS
from re_sln.tables.run_logs import LoggedRun, LoggedSearch, Logs

STATISTIC = "population_std"
LAST_EPOCH = "accuracy at the last epoch"
BEST_VALIDATION = "accuracy at the epoch that is best on the clean validation images"
HELD_OUT = "accuracy on the labels held out, at the last epoch"

Values = Mapping[tuple[str, str], Mapping[str, float]]  # of (row, column): run → percent


@dataclass(frozen=True)
class Layout:
    """A table without its numbers. published: for each source the keys in published.yaml."""

    name: str
    title: str
    columns_are: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    published: Mapping[str, tuple[str, ...]]


def _main(name: str, label: str, columns: tuple[str, ...]) -> Layout:
    keys = {"cited": "paper", "rerun": "rerun"}
    published = {source: ("re_sln", f"{name}_p0.4", "{row}", key, "{column}") for source, key in keys.items()}
    title = f"{label} with 40 % label noise, test accuracy in percent"
    return Layout(name, title, "noise", tuple(MODELS.values()), columns, published)


CIFAR = {
    "cifar10": _main("cifar10", "CIFAR-10", ("sym", "asym", "dependent", "openset")),
    "cifar100": _main("cifar100", "CIFAR-100", ("sym", "asym", "dependent")),
}
ANIMAL10N = Layout(
    "animal-10n",
    "Animal-10N, whose labels are noisy by nature, test accuracy in percent",
    "data",
    tuple(MODELS.values()),
    ("animal-10n",),
    {"rerun": ("re_sln", "animal10n", "{row}")},
)
SEARCH = Layout(
    "sigma-search",
    "Search for σ on CIFAR-10 with 40 % label noise: accuracy in percent on 5,000 noisy labels held out",
    "noise, σ",
    ("sym", "asym"),
    ("0.1", "0.2", "0.5", "1.0"),
    {"rerun": ("re_sln", "sigma_search_cifar10_p0.4", "{row}", "{column}")},
)
ABLATION = Layout(
    "sigma-ablation",
    "SLN against σ, CIFAR-10 with 40 % symmetric noise: test accuracy in percent (σ = 0 is CE)",
    "σ",
    ("SLN",),
    ("0", *(f"{tenths / 10}" for tenths in range(2, 21, 2))),
    {"rerun": ("re_sln", "sigma_ablation_cifar10_sym_p0.4", "{column}")},
)
MAIN = {**CIFAR, ANIMAL10N.name: ANIMAL10N}


def published_tables(logs: Logs) -> list[ResultTable]:
    """The four published tables and the ablation; every cell is there, with runs or without."""
    runs = [run for run in logs.runs if not run.place.setting]
    tables = {
        name: _filled(layout, _values(run for run in runs if run.place.data == name and is_published(run)))
        for name, layout in MAIN.items()
    }
    sigmas = {run.name: "0" if run.place.model == "ce" else str(run.place.sigma) for run in runs}
    ablated = [("SLN", sigmas[run.name], run.name, run.accuracy) for run in filter(is_ablation, runs)]
    searched = _searched(filter(_is_published_search, logs.searches))
    search = _filled(SEARCH, searched, HELD_OUT, _best(searched))
    return [*(tables[name] for name in CIFAR), search, tables[ANIMAL10N.name], _filled(ABLATION, _collected(ablated))]


def other_tables(logs: Logs) -> list[ResultTable]:
    """A table for every setting that was not published; each name says what is different."""
    tables = []
    for (data, setting), runs in grouped(logs.runs).items():
        values = _values(run for run in runs if not (is_published(run) or is_ablation(run)))
        if values:
            rows = tuple(sorted({row for row, _ in values}, key=_order))
            layout = Layout(*name_of(data, setting), "noise", rows, tuple(sorted({name for _, name in values})), {})
            tables.append(_filled(layout, values, BEST_VALIDATION if data == "clothing1m" else LAST_EPOCH))
    others = [search for search in logs.searches if not _is_published_search(search)]
    for place in sorted({search.place[:2] for search in others}):
        values = _searched(search for search in others if search.place[:2] == place)
        rows = tuple(sorted({row for row, _ in values}))
        layout = Layout(*name_of(*place, "search for σ"), "noise, σ", rows, (), {})
        tables.append(_filled(layout, values, HELD_OUT))
    return tables


def grouped(runs: Iterable[LoggedRun]) -> dict[tuple[str, str], list[LoggedRun]]:
    """The runs by data and setting, the published settings first."""
    groups: dict[tuple[str, str], list[LoggedRun]] = {}
    for run in sorted(runs, key=lambda run: (run.place.setting != "", run.place.data, run.place.setting)):
        groups.setdefault((run.place.data, run.place.setting), []).append(run)
    return groups


def is_published(run: LoggedRun) -> bool:
    """Whether the run is one of a cell of the main tables."""
    place, layout = run.place, MAIN.get(run.place.data)
    return layout is not None and not place.setting and place.row in layout.rows and column_of(run) in layout.columns


def column_of(run: LoggedRun) -> str:
    """The noise, or the data whose labels are noisy by nature."""
    return run.place.data if run.place.column == "-" else run.place.column


def is_ablation(run: LoggedRun) -> bool:
    """Whether the run is one of the ablation of σ: SLN at any σ, and CE for σ = 0."""
    place = run.place
    known = (place.data, place.setting, place.extra, place.column) == ("cifar10", "", "", "sym")
    return known and place.model in ("ce", "sln")


def name_of(data: str, setting: str, what: str = "") -> tuple[str, str]:
    """File name and title of what was not published."""
    told = "; ".join(word for word in (setting, what) if word)
    if data == "clothing1m":
        title = "Clothing1M: " + (told or "settings as published; the published values are not at hand")
    elif data not in MAIN:
        title = f"Not the published data: {data}; " + (told or "settings as published")
    else:
        title = f"Not a published setting: {data}; " + (told or "other models or noise")
    stem = "-".join(["other", data, *re.findall(r"[a-zA-Z0-9_.]+", told)])
    return stem, title


def _filled(layout: Layout, values: Values, taken: str = LAST_EPOCH, remark: str = "") -> ResultTable:
    """The table with these values, in columns of its own where σ is one that was not published."""
    numbers = yaml.safe_load(read_text(PUBLISHED))
    more = {column for _, column in values} - {*layout.columns}
    columns = tuple(sorted({*layout.columns, *more}, key=float)) if more else layout.columns
    results = tuple(
        Result(
            id=f"{layout.name}-{row}-{column}",
            row=row,
            column=column,
            metric="accuracy",
            statistic=STATISTIC,
            values=tuple(values.get((row, column), {}).values()),
            records=tuple(values.get((row, column), {})),
            references=references(layout.published, numbers, row=row, column=column),
        )
        for row in layout.rows
        for column in columns
    )
    text = note(STATISTIC, "the runs of a cell", taken, results, remark)
    return ResultTable(layout.name, layout.title, layout.columns_are, layout.rows, columns, STATISTIC, results, text)


def _best(values: Values) -> str:
    """The σ that these searches would choose, and where the tables use another."""
    words = []
    for row in SEARCH.rows:
        means = {column: mean(list(shares.values())) for (noise, column), shares in values.items() if noise == row}
        if means:
            best, used = max(means, key=lambda column: means[column]), TASKS["cifar10"].sigma(row)
            words.append(f"{row} {best}" + ("" if float(best) == used else f" (the tables use {used} all the same)"))
    return f"Best σ of these searches: {', '.join(words)}." if words else ""


def _is_published_search(search: LoggedSearch) -> bool:
    data, setting, noise = search.place
    return (data, setting) == ("cifar10", "") and noise in SEARCH.rows


def _values(runs: Iterable[LoggedRun]) -> Values:
    return _collected((run.place.row, column_of(run), run.name, run.accuracy) for run in runs)


def _searched(searches: Iterable[LoggedSearch]) -> Values:
    return _collected(
        (one.place[2], str(sigma), one.name, share) for one in searches for sigma, share in one.accuracy.items()
    )


def _collected(placed: Iterable[tuple[str, str, str, float]]) -> Values:
    """Percentages of runs by (row, column)."""
    values: dict[tuple[str, str], dict[str, float]] = {}
    for row, column, name, share in placed:
        values.setdefault((row, column), {})[name] = STATISTICS[STATISTIC].percent(share)
    return values


def _order(row: str) -> tuple[int, str]:
    """Models in the order in which each adds to the one before."""
    return list(MODELS.values()).index(row.split(" ")[0]), row
