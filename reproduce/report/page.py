"""The report: one HTML page with every table, every curve and where each number comes from; it needs no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from common.records.provenance import git_state
from common.results.result_table import known_text
from common.results.tables import STATISTICS, format_mean
from common.storage.files import atomic_write
from reproduce.cells import Table
from reproduce.claims.page import kept_findings, report_section
from reproduce.report.packed import packed
from reproduce.runs import DONE, MISSING, Run, distinct
from reproduce.tables.paper_tables import (
    ALONE,
    FARTHER,
    NO_STD,
    NOT_RUN,
    VERDICTS,
    WITHIN_1,
    WITHIN_2,
    Standing,
    note,
    standings,
    verdict,
)

HERE = Path(__file__).resolve().parent
CLASSES = {WITHIN_1: "within1", WITHIN_2: "within2", FARTHER: "farther", NO_STD: "alone", ALONE: "alone"}
Filled = Sequence[tuple[Table, list[Run]]]


def write_report(filled: Filled, path: Path) -> None:
    """Write the page of these tables and their runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(path, report_html(filled))


def report_html(filled: Filled) -> str:
    """The whole page as text; the same runs give the same page."""
    tables = [(table, standings(table.cells, runs), runs) for table, runs in filled]
    template = Template((HERE / "report.html").read_text(encoding="utf-8"))
    return template.substitute(
        style=(HERE / "report.css").read_text(encoding="utf-8"),
        script="".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in ("report_chart", "report")),
        overview=_overview(tables),
        claims=report_section(kept_findings()),
        tables="\n".join(_table(table, cells) for table, cells, _ in tables),
        footer=escape(_footer([run for _, runs in filled for run in runs])),
        data=packed(filled),
    )


def _overview(tables: Sequence[tuple[Table, list[Standing], list[Run]]]) -> str:
    # Demos, evidence and imported logs ask for no GPU.
    every = [result for _, cells, _ in tables for result in cells if result.cell.gpus]
    published = [result for result in every if result.cell.references]
    counts = Counter(map(verdict, published))
    near = counts[WITHIN_1]
    cards = {
        "cells of the papers, every run done": f"{sum(_whole(result) for result in every)} / {len(every)}",
        "cells begun": str(sum(bool(result.values) and not _whole(result) for result in every)),
        "within one standard deviation of the published value": f"{near} / {len(published)}",
        "within two": f"{near + counts[WITHIN_2]} / {len(published)}",
        "farther away": str(counts[FARTHER]),
        "runs done": str(sum(run.state == DONE for run in distinct([run for _, _, runs in tables for run in runs]))),
    }
    shown = "".join(f'<div class="card"><b>{value}</b><span>{text}</span></div>' for text, value in cards.items())
    lines = "".join(_overview_line(table, cells) for table, cells, _ in tables)
    heads = _heads(["table", "cells with runs", *VERDICTS[:3], "of all cells"])
    remark = "<p class=\"note\">Of several published values of a cell, the paper's counts before a re-run's.</p>"
    return (
        f'<div class="cards">{shown}</div><div class="wide"><table class="sorted">{heads}{lines}</table></div>{remark}'
    )


def _overview_line(table: Table, cells: list[Standing]) -> str:
    counts = Counter(map(verdict, cells))
    share = "".join(
        f'<i class="{kind}" style="flex:{counts[name]}" title="{counts[name]} {name}"></i>'
        for name, kind in CLASSES.items()
        if counts[name]
    )
    if counts[NOT_RUN]:
        share += f'<i style="flex:{counts[NOT_RUN]}" title="{counts[NOT_RUN]} {NOT_RUN}"></i>'
    done = len(cells) - counts[NOT_RUN]
    numbers = "".join(f'<td data-value="{counts[name]}">{counts[name]}</td>' for name in VERDICTS[:3])
    return (
        f'<tr><th><a href="#{escape(table.name)}">{escape(table.title)}</a></th>'
        f'<td data-value="{done / len(cells)}">{done} / {len(cells)}</td>{numbers}'
        f'<td><span class="share">{share}</span></td></tr>'
    )


def _table(table: Table, cells: list[Standing]) -> str:
    places = {(result.cell.row, result.cell.column): result for result in cells}
    lines = "".join(
        f"<tr><th>{escape(row)}</th>{''.join(_cell(places[row, column]) for column in table.columns)}</tr>"
        for row in table.rows
    )
    lines += "".join(_quoted(table, row) for row in table.quoted)
    heads = _heads([table.columns_are, *table.columns])
    return (
        f'<article class="table" id="{escape(table.name)}">'
        f"<h3>{escape(table.title)} <small>{escape(table.name)}</small></h3>"
        f'<div class="wide"><table class="sorted">{heads}{lines}</table></div>'
        f'<p class="note">{escape(note(table, cells))}</p></article>'
    )


def _quoted(table: Table, row: str) -> str:
    """A row of which there are published values alone."""
    known, statistic = table.quoted[row], STATISTICS[table.cells[0].statistic]
    texts = [escape(known_text(known[column], statistic)) if column in known else "-" for column in table.columns]
    cells = "".join(f'<td><span class="published">{text}</span></td>' for text in texts)
    return f"<tr><th>{escape(row)}</th>{cells}</tr>"


def _heads(names: Sequence[str]) -> str:
    heads = "".join(f'<th><button type="button">{escape(name)}</button></th>' for name in names)
    return f"<thead><tr>{heads}</tr></thead>"


def _cell(result: Standing) -> str:
    cell, statistic = result.cell, STATISTICS[result.statistic]
    digits = statistic.digits
    parts = []
    if result.mean is None:
        parts.append(f'<button type="button" class="number none" data-cell="{escape(cell.id)}">{NOT_RUN}</button>')
    else:
        ours = format_mean(result.mean, result.std, digits)
        parts.append(f'<button type="button" class="number" data-cell="{escape(cell.id)}">{ours}</button>')
        singles = (
            ": " + ", ".join(f"{value:.{digits}f}" for value in result.values) if 1 < len(result.values) <= 5 else ""
        )
        parts.append(f'<span class="singles">n = {len(result.values)} of {result.asked}{singles}</span>')
    if result.unpublished and not result.references:
        parts.append(f'<span class="published">{result.unpublished}</span>')
    for known in cell.references:
        parts.append(f'<span class="published">{escape(known_text(known, statistic))}</span>')
    if result.gaps:
        parts.append(f'<span class="gap {CLASSES[verdict(result)]}">{escape(result.gaps[0].text(digits))}</span>')
    value = "" if result.mean is None else f' data-value="{result.mean!r}"'
    return f"<td{value}>{''.join(parts)}</td>"


def _whole(result: Standing) -> bool:
    return bool(result.values) and len(result.values) == result.asked


def _footer(runs: list[Run]) -> str:
    states = Counter(run.state for run in distinct(runs))
    counted = ", ".join(f"{count} {state}" for state, count in states.items() if state != MISSING)
    git = git_state()
    code = f"code at commit {git['commit']}" if git["commit"] else "code outside a repository"
    changed = ", with changes that were not committed" if git["dirty"] else ""
    return f"Runs: {counted or 'none'}. Made by `python -m reproduce report`, {code}{changed}."
