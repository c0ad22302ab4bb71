"""The published tables with what the runs gave beside what was published; a table of its own for any other setting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from common.paths import repo_root
from common.tables import STATISTICS, csv_text, format_mean, markdown_table, mean, write_table
from re_sln.settings.published_settings import TASKS
from re_sln.tables.cell_of_run import MODELS
from re_sln.tables.run_logs import LoggedRun, LoggedSearch, Logs

STATISTIC = STATISTICS["population_std"]
NOT_RUN = "not run"
THESE = "these runs"
LAST_EPOCH = "test accuracy at the last epoch"
BEST_VALIDATION = "test accuracy at the epoch that is best on the clean validation images"
NAMES = {"paper": "paper", "rerun": "published re-run"}
ABLATED = ("ce", "sln")
# Data set: its title, its noise modes ("-": noisy by nature).
PUBLISHED = {
    "cifar10": ("CIFAR-10", ("sym", "asym", "dependent", "openset")),
    "cifar100": ("CIFAR-100", ("sym", "asym", "dependent")),
    "animal-10n": ("Animal-10N", ("-",)),
}
CSV_HEADER = [
    *("table", "row", "column", "n", "mean", "population_std", "values", "runs"),
    *("paper", "paper_std", "published_rerun", "published_rerun_std"),
]
SPREAD = f"mean ± {STATISTIC.name} over the runs of a cell"

Key = tuple[str, str]
Published = Mapping[Key, tuple[float, float | None]]


@dataclass(frozen=True)
class ResultTable:
    """A table: (row, column) → runs with their values in percent, and by source what was published."""

    stem: str
    title: str
    corner: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: Mapping[Key, Mapping[str, float]]
    published: Mapping[str, Published] = field(default_factory=dict)
    trailing_zeros: bool = True
    taken: str = LAST_EPOCH
    remark: str = ""

    def lines(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows as text: for every row what was published, then these runs."""
        header = [self.corner, "", *(column if column != "-" else "test accuracy" for column in self.columns)]
        lines = []
        for row in self.rows:
            for source in self.published:
                lines.append(["", NAMES[source], *(self._known(source, row, column) for column in self.columns)])
            lines.append(["", THESE, *(self._ours(row, column) for column in self.columns)])
            lines[-1 - len(self.published)][0] = row
        return header, lines

    def markdown(self) -> str:
        """The table with title and notes."""
        notes = [f"{THESE}: {SPREAD}, n of them; {self.taken}, never the best on test."]
        if "paper" in self.published:
            notes.append("paper: as printed beside the published re-run, mean ± std of 5 runs.")
        notes += [self.remark] if self.remark else []
        return f"### {self.title}\n\n{markdown_table(*self.lines())}\n" + "\n".join(notes) + "\n"

    def csv(self) -> str:
        """One line a cell, in full precision."""
        lines = []
        for row in self.rows:
            for column in self.columns:
                values = self.values.get((row, column), {})
                centre, std = STATISTIC.summary(list(values.values())) if values else (None, None)
                found = [centre, std, " ".join(map(repr, values.values())), "; ".join(values)]
                known = [self.published.get(source, {}).get((row, column), (None, None)) for source in NAMES]
                lines.append([self.stem, row, column, len(values), *found, *(part for one in known for part in one)])
        return csv_text(CSV_HEADER, lines)

    def write(self, folder: Path) -> None:
        """`<stem>.md`, `.csv` and `.png`."""
        write_table(folder, self.stem, self.markdown(), self.csv(), self.title, *self.lines())

    def _ours(self, row: str, column: str) -> str:
        values = list(self.values.get((row, column), {}).values())
        return f"{STATISTIC.text(values, self.trailing_zeros)} (n = {len(values)})" if values else NOT_RUN

    def _known(self, source: str, row: str, column: str) -> str:
        centre, std = self.published[source].get((row, column), (None, None))
        return format_mean(centre, std, STATISTIC.digits, self.trailing_zeros or source == "paper")


def published_tables(logs: Logs) -> list[ResultTable]:
    """The four published tables and the ablation; every cell is there, with runs or without."""
    path = repo_root() / "reproduce" / "published.yaml"
    numbers = yaml.safe_load(path.read_text(encoding="utf-8"))["re_sln"]
    usual = [run for run in logs.runs if not run.place.setting]
    main = {name: _main_table(name, usual, numbers) for name in PUBLISHED}
    search = _search_table(logs.searches, numbers["sigma_search_cifar10_p0.4"])
    return [main["cifar10"], main["cifar100"], search, main["animal-10n"], _ablation(usual, numbers)]


def other_tables(logs: Logs) -> list[ResultTable]:
    """A table for every setting that was not published; each name says what is different."""
    tables = []
    for (data, setting), runs in grouped(logs.runs).items():
        others = [run for run in runs if not (is_published(run) or is_ablation(run))]
        if others:
            rows = tuple(sorted({run.place.row for run in others}, key=_order))
            columns = tuple(sorted({run.place.column for run in others}))
            stem, title = name_of(data, setting)
            taken = BEST_VALIDATION if data == "clothing1m" else LAST_EPOCH
            tables.append(ResultTable(stem, title, "model", rows, columns, _values(others), taken=taken))
    for place in sorted({search.place[:2] for search in logs.searches if not _is_published_search(search)}):
        searches = [one for one in logs.searches if one.place[:2] == place and not _is_published_search(one)]
        stem, title = name_of(*place, "search for σ")
        rows = tuple(sorted({search.place[2] for search in searches}))
        tables.append(_search(stem, title, rows, searches, ()))
    return tables


def grouped(runs: Iterable[LoggedRun]) -> dict[tuple[str, str], list[LoggedRun]]:
    """The runs by data and setting, the published settings first."""
    groups: dict[tuple[str, str], list[LoggedRun]] = {}
    for run in sorted(runs, key=lambda run: (run.place.setting != "", run.place.data, run.place.setting)):
        groups.setdefault((run.place.data, run.place.setting), []).append(run)
    return groups


def is_published(run: LoggedRun) -> bool:
    """Whether the run is one of a cell of the main tables."""
    place = run.place
    modes = PUBLISHED[place.data][1] if place.data in PUBLISHED else ()
    return not place.setting and place.row in MODELS.values() and place.column in modes


def is_ablation(run: LoggedRun) -> bool:
    """Whether the run is one of the ablation of σ: SLN at any σ, and CE for σ = 0."""
    place = run.place
    known = (place.data, place.setting, place.extra, place.column) == ("cifar10", "", "", "sym")
    return known and place.model in ABLATED


def title_of(data: str) -> str:
    """What a published table is about."""
    title, modes = PUBLISHED[data]
    return title if modes == ("-",) else f"{title} with 40 % label noise"


def name_of(data: str, setting: str, what: str = "") -> tuple[str, str]:
    """File name and title of what was not published."""
    told = "; ".join(word for word in (setting, what) if word)
    if data == "clothing1m":
        title = "Clothing1M: " + (told or "settings as published; the published values are not at hand")
    elif data not in PUBLISHED:
        title = f"Not the published data: {data}; " + (told or "settings as published")
    else:
        title = f"Not a published setting: {data}; " + (told or "other models or noise")
    stem = "-".join(["other", data, *re.findall(r"[a-zA-Z0-9_.]+", told)])
    return stem, title


def _main_table(data: str, runs: list[LoggedRun], numbers: Mapping[str, Any]) -> ResultTable:
    modes = PUBLISHED[data][1]
    own = [run for run in runs if run.place.data == data and is_published(run)]
    published: dict[str, Published]
    if data == "animal-10n":
        published = {"rerun": {(row, "-"): _pair(entry) for row, entry in numbers["animal10n"].items()}}
    else:
        models = numbers[f"{data}_p0.4"]
        published = {
            source: {(row, mode): _pair(models[row][source][mode]) for row in models for mode in modes}
            for source in NAMES
        }
    title = f"{title_of(data)}, test accuracy in percent"
    return ResultTable(data, title, "model", tuple(MODELS.values()), modes, _values(own), published, False)


def _ablation(runs: list[LoggedRun], numbers: Mapping[str, Any]) -> ResultTable:
    known = {(sigma, "-"): _pair(entry) for sigma, entry in numbers["sigma_ablation_cifar10_sym_p0.4"].items()}
    values: dict[Key, dict[str, float]] = {}
    for run in filter(is_ablation, runs):
        sigma = "0" if run.place.model == "ce" else str(run.place.sigma)
        values.setdefault((sigma, "-"), {})[run.name] = STATISTIC.percent(run.accuracy)
    return ResultTable(
        "sigma-ablation",
        "SLN against σ, CIFAR-10 with 40 % symmetric noise: test accuracy in percent (σ = 0 is CE)",
        "σ",
        tuple(sorted({sigma for sigma, _ in (*known, *values)}, key=float)),
        ("-",),
        values,
        {"rerun": known},
    )


def _search_table(searches: list[LoggedSearch], numbers: Mapping[str, Any]) -> ResultTable:
    known = {(mode, column): _pair(value) for mode, entry in numbers.items() for column, value in entry.items()}
    own = [search for search in searches if _is_published_search(search)]
    columns = tuple(dict.fromkeys(column for _, column in known))
    title = "Search for σ on CIFAR-10 with 40 % label noise: accuracy in percent on 5,000 noisy labels held out"
    return _search("sigma-search", title, tuple(numbers), own, columns, {"rerun": known})


def _search(
    stem: str,
    title: str,
    rows: tuple[str, ...],
    searches: list[LoggedSearch],
    columns: tuple[str, ...],
    published: Mapping[str, Published] | None = None,
) -> ResultTable:
    values: dict[Key, dict[str, float]] = {}
    for search in searches:
        for sigma, accuracy in search.accuracy.items():
            values.setdefault((search.place[2], str(sigma)), {})[search.name] = STATISTIC.percent(accuracy)
    columns = tuple(sorted({*columns, *(column for _, column in values)}, key=float))
    remark = _best(rows, values) if published else ""
    taken = "accuracy on the labels held out, at the last epoch"
    return ResultTable(stem, title, "noise, σ", rows, columns, values, published or {}, taken=taken, remark=remark)


def _best(rows: tuple[str, ...], values: Mapping[Key, Mapping[str, float]]) -> str:
    """The σ that these searches would choose, and where the tables use another."""
    words = []
    for row in rows:
        means = {column: mean(list(found.values())) for (mode, column), found in values.items() if mode == row}
        if means:
            best, used = max(means, key=lambda column: means[column]), TASKS["cifar10"].sigma(row)
            words.append(f"{row} {best}" + ("" if float(best) == used else f" (the tables use {used} all the same)"))
    return f"Best σ of these searches: {', '.join(words)}." if words else ""


def _is_published_search(search: LoggedSearch) -> bool:
    data, setting, noise = search.place
    return (data, setting) == ("cifar10", "") and noise in ("sym", "asym")


def _values(runs: list[LoggedRun]) -> dict[Key, dict[str, float]]:
    values: dict[Key, dict[str, float]] = {}
    for run in runs:
        values.setdefault((run.place.row, run.place.column), {})[run.name] = STATISTIC.percent(run.accuracy)
    return values


def _order(row: str) -> tuple[int, str]:
    """Models in the order in which each adds to the one before."""
    return list(MODELS.values()).index(row.split(" ")[0]), row


def _pair(entry: Any) -> tuple[float, float | None]:
    return (entry[0], entry[1]) if isinstance(entry, list) else (entry, None)
