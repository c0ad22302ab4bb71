"""The report page: what is in it, and what it does in a real browser."""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.records.record_files import CONFIG, METRICS, RESULT
from reproduce.cells import EVIDENCE, load_tables
from reproduce.claims.page import kept_findings
from reproduce.cli import main
from reproduce.report.packed import facts, tail, thinned_lines
from reproduce.report.page import report_html
from reproduce.tables.all_tables import filled_tables
from reproduce.tables.paper_tables import standings
from tests.reproduce.browser import CHROMIUM, Page
from tests.reproduce.many_runs import write_runs

TABLES, EVIDENCES = load_tables(), load_tables(EVIDENCE)
SOME = ("ieg-cifar10", "sln-cifar10", "sln-sigma", "moco-imagenet100")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of some tables, three seeds each, and the page made of them."""
    folder = tmp_path_factory.mktemp("report")
    for name in SOME:
        write_runs(TABLES[name].cells, TABLES[name].cells[0].seeds[:3], folder / "runs")
    assert main(["report", "--runs_dir", str(folder / "runs"), "--out", str(folder / "report.html")]) == 0
    return folder


@pytest.fixture(scope="module")
def text(place: Path) -> str:
    return (place / "report.html").read_text(encoding="utf-8")


def unpacked(text: str) -> dict[str, Any]:
    found = re.search(r'id="data">([^<]*)<', text)
    assert found
    return json.loads(gzip.decompress(base64.b64decode(found[1])))


def records_of_cell(text: str, cell: str) -> list[dict[str, Any]]:
    data = unpacked(text)

    def lines(numbers: list[int]) -> list[str]:
        return [data["texts"][number] for number in numbers]

    found = []
    for number in data["cells"][cell]:
        run = dict(zip(data["run_fields"], data["runs"][number], strict=True))
        for values in run["records"]:
            record = dict(zip(data["record_fields"], values, strict=True))
            named = {name: lines(record[name]) for name in ("command", "config", "log", "facts")}
            curves = {name: (data["steps"][steps], values) for name, (steps, values) in record["curves"].items()}
            found.append({"run": run, **named, "folder": data["texts"][record["folder"]], "curves": curves})
    return found


def test_every_table_stands_in_the_page_with_its_statistics_named(text: str) -> None:
    for table in TABLES.values():
        assert f'id="{table.name}"' in text
    assert text.count("mean ± population standard deviation (ddof 0)") >= 4
    assert "accuracy at the last cycle end, never the best on test" in text
    assert "not run" in text


def test_the_overview_counts_the_cells_of_the_papers(text: str, place: Path) -> None:
    every = [
        result
        for table, runs in filled_tables(None, None, None, place / "runs")
        for result in standings(table.cells, runs)
        if result.cell.gpus
    ]
    stds = [abs(one.gaps[0].stds) for one in every if one.gaps and one.gaps[0].stds is not None]
    published = sum(bool(one.references) for one in every)
    one, two = (sum(size <= most for size in stds) for most in (1, 2))
    assert 0 < one < two < len(stds) < published < len(every)
    whole = sum(0 < len(one.values) == one.asked for one in every)
    begun = sum(0 < len(one.values) < one.asked for one in every)
    shown = re.findall(r'class="card"><b>([^<]*)</b>', text)
    done = shown.pop()
    assert shown == [
        f"{whole} / {len(every)}", str(begun), f"{one} / {published}", f"{two} / {published}", str(len(stds) - two)
    ]  # fmt: skip
    assert int(done) > 0


def test_the_page_names_no_address_and_forbids_requests(text: str) -> None:
    assert "default-src 'none'" in text
    assert not re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", text)


def test_the_provenance_of_a_number_is_its_records(text: str, place: Path) -> None:
    cell = next(cell for cell in TABLES["ieg-cifar10"].cells if cell.id == "ieg-cifar10-l2r-0.8")
    records = records_of_cell(text, cell.id)
    assert [record["run"]["seed"] for record in records] == [12345, 12346, 12347]
    for record in records:
        folder = Path(record["folder"])
        result = json.loads((folder / RESULT).read_text())
        assert record["command"] == result["command"]
        assert record["config"] == (folder / CONFIG).read_text().splitlines()
        assert record["log"] == (folder.parent / "log.txt").read_text().splitlines()[-len(record["log"]) :]
        facts = "\n".join(record["facts"])
        for value in (result["git"]["commit"], result["environment_lock"], result["dataset"]["fingerprint"]):
            assert value in facts
        assert "NVIDIA V100" in facts
        assert record["run"]["value"] == pytest.approx(100 * result["metrics"]["accuracy"], abs=1e-4)
        lines = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
        steps, values = record["curves"]["accuracy/test"]
        assert steps == [line["step"] for line in lines]
        assert values == pytest.approx([line["accuracy/test"] for line in lines], rel=1e-3)


def test_replicas_of_one_process_are_not_called_processes(place: Path) -> None:
    """What a record knows of memory is one process's."""
    result = json.loads(next((place / "runs").rglob(RESULT)).read_text())
    said = facts({**result, "device": "GPU", "world_size": 8, "peak_memory_bytes": 2**31})
    assert {"hardware: GPU, 8 replicas", "peak memory: 2 GiB in one process"} < set(said)


def test_a_chain_shows_the_record_of_each_of_its_stages(text: str) -> None:
    cell = TABLES["moco-imagenet100"].cells[0]
    assert len(records_of_cell(text, cell.id)) == 3 * len(cell.stages)


def test_a_record_that_is_wrong_is_shown_with_what_is_wrong(tmp_path: Path) -> None:
    table = TABLES["ieg-cifar10"]
    write_runs(table.cells[:1], [12345], tmp_path)
    (path,) = tmp_path.rglob(RESULT)
    path.write_text(path.read_text().replace('"world_size": 1', '"world_size": 0'))
    page = report_html(filled_tables(None, table.name, None, tmp_path))
    (record,) = records_of_cell(page, table.cells[0].id)
    assert record["run"]["state"] == "foreign"
    assert f"{path}: result field world_size = 0" in record["facts"][0]


def test_the_same_runs_give_the_same_page(place: Path) -> None:
    pages = [report_html(filled_tables(None, None, None, place / "runs")) for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_row_that_is_quoted_stands_below_those_that_are_run(text: str) -> None:
    table = text.partition('id="ieg-cifar10"')[2].partition("</article>")[0]
    rows = re.findall(r"<tr><th>(.*?)</th>(.*?)</tr>", table.partition("</thead>")[2])
    assert [row for row, _ in rows] == [*TABLES["ieg-cifar10"].rows, *TABLES["ieg-cifar10"].quoted]
    published = [
        f'<td><span class="published">{value}</span></td>' for value in ("paper 94.2", "paper 87.4", "paper 81.8", "-")
    ]
    assert dict(rows)["RoG"] == "".join(published)


def test_a_begun_demo_has_its_table(tmp_path: Path) -> None:
    assert [table.name for table, _ in filled_tables(None, None, None, tmp_path)] == [*TABLES, *EVIDENCES]
    ((demo, _),) = filled_tables(None, "demo", None, tmp_path)
    write_runs(demo.cells[:1], [0], tmp_path)
    assert [table.name for table, _ in filled_tables(None, None, None, tmp_path)] == [*TABLES, "demo", *EVIDENCES]


def test_a_long_log_ends_with_its_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"line {k}\n" for k in range(1000)) + "10 %\r20 %\r30 %\n")
    assert tail(path, 20) == ["line 998", "line 999", "30 %"]
    assert tail(path, 2) == ["30"]
    assert tail(tmp_path / "none", 20) == []


def test_thinning_keeps_both_ends(tmp_path: Path) -> None:
    path = tmp_path / METRICS
    path.write_text("".join(f'{{"step": {k}}}\n' for k in range(1000)) + '{"ste')
    steps = [line["step"] for line in thinned_lines(path, 5)]
    assert steps == [0, 250, 500, 749, 999]
    assert len(thinned_lines(path, 2000)) == 1000


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_runs(tmp_path: Path) -> None:
    cells = [cell for table in TABLES.values() for cell in table.cells]
    seeds = range(1 + 10_000 // len({cell.run_name(sample) for cell in cells for sample in cell.samples}))
    assert write_runs(cells, seeds, tmp_path) >= 10_000
    asked = ["--runs_dir", str(tmp_path), "--seeds", ",".join(map(str, seeds))]
    for command, seconds in (("plan", 10), ("tables", 10), ("report", 120)):
        began = time.process_time()  # what it takes of this process: others may be busy on the machine
        assert main([command, *asked]) == 0
        took = time.process_time() - began
        print(f"{command}: {took:.1f} s")
        assert took < seconds, command
    assert (tmp_path / "report.html").stat().st_size < 5_000_000
    if CHROMIUM:
        page = Page(tmp_path / "profile")
        try:
            assert page.open(tmp_path / "report.html") < 5
        finally:
            page.close()


@pytest.fixture(scope="module")
def page(place: Path) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium-headless-shell, as .ci/run does")
    found = Page(place / "profile")
    found.open(place / "report.html")
    yield found
    found.close()


def column(page: Page, table: str, number: int) -> list[float]:
    return page.run(
        f"[...document.querySelectorAll('#{table} tbody tr')].map(row => Number(row.cells[{number}].dataset.value))"
    )


def test_tables_sort_both_ways(page: Page) -> None:
    head = "document.querySelectorAll('#sln-cifar10 thead button')[1]"
    before = column(page, "sln-cifar10", 1)
    page.run(f"{head}.click()")
    assert column(page, "sln-cifar10", 1) == sorted(before)
    page.run(f"{head}.click()")
    assert column(page, "sln-cifar10", 1) == sorted(before, reverse=True)
    assert page.run(f"{head}.closest('th').ariaSort") == "descending"


def test_a_number_opens_its_provenance_in_one_click(page: Page, text: str) -> None:
    page.run("document.querySelector('[data-cell=\"ieg-cifar10-l2r-0.8\"]').click()")
    shown = page.run("document.querySelector('#provenance').open && document.querySelector('#provenance').innerText")
    for record in records_of_cell(text, "ieg-cifar10-l2r-0.8"):
        for part in (record["folder"], " ".join(record["command"]), record["log"][-1], record["config"][0]):
            assert part in shown
    assert "1" * 40 in shown and "NVIDIA V100" in shown
    assert page.run("document.querySelectorAll('#provenance path').length") == 3
    page.run("document.querySelector('#close').click()")
    assert page.run("document.querySelector('#provenance').open") is False


def test_curves_draw_and_say_what_is_under_the_pointer(page: Page) -> None:
    page.run("document.querySelector('#curves').scrollIntoView()")
    paths = page.run(
        "[...document.querySelectorAll('#chart path')].map(path => path.getAttribute('d').split('L').length)"
    )
    assert len(paths) == 60 and set(paths) == {40}
    box = page.run("(() => { const box = document.querySelector('#chart svg').getBoundingClientRect();"
                   " return [box.left + box.width / 2, box.top + box.height / 2]; })()")  # fmt: skip
    page.move(*box)
    tip = page.run("document.querySelector('#chart .tip').innerText")
    assert re.fullmatch(r"ieg-cifar10-\S+ seed \d+: 0\.\d+ at step [\d,]+", tip)
    page.run("(() => { const select = byId('curve-table'); select.value = 'moco-imagenet100';"
             " select.dispatchEvent(new Event('change')); })()")  # fmt: skip
    assert page.run("document.querySelectorAll('#chart path').length") > 0


def test_search_leaves_what_has_every_word(page: Page) -> None:
    def search(words: str) -> tuple[list[str], str]:
        page.run(f"(() => {{ byId('search').value = '{words}'; byId('search').dispatchEvent(new Event('input')); }})()")
        shown = page.run("[...document.querySelectorAll('.table')].filter(t => !t.hidden).map(t => t.id)")
        return shown, page.run("byId('run-count').innerText")

    tables, runs = search("cifar-100 uniform l2r")
    assert tables == ["ieg-cifar100"]
    assert runs.startswith("0 of ")
    assert search("sln-cifar10-ce-sym")[1].startswith("10 of ")
    assert search("no such thing")[0] == []
    assert len(search("")[0]) == len(TABLES) + len(EVIDENCES)


def test_runs_sort_and_more_are_shown(page: Page) -> None:
    def first(number: int) -> list[str]:
        return page.run(
            f"[...document.querySelectorAll('#run-table tbody tr')].map(row => row.cells[{number}].innerText)"
        )

    assert set(first(5)) == {"done"} and len(first(5)) == 100
    page.run("document.querySelector('#run-table th[data-key=value] button').click()")
    values = [float(value) for value in first(6)]
    assert values == sorted(values)
    page.run("byId('more').click()")
    assert len(first(5)) > 100


def test_dark_and_light(page: Page) -> None:
    def background() -> str:
        return page.run("getComputedStyle(document.body).backgroundColor")

    page.scheme("light")
    light = background()
    page.scheme("dark")
    dark = background()
    assert light != dark
    page.run("byId('theme').click()")
    assert background() == light
    page.run("byId('theme').click()")
    assert background() == dark


def test_a_phone_needs_no_sideways_scrolling(page: Page) -> None:
    page.resize(390, 844)
    try:
        assert page.run("document.documentElement.scrollWidth") == 390
        page.run("document.querySelector('[data-cell=\"sln-cifar10-ce-sym\"]').click()")
        assert page.run("document.querySelector('#provenance').scrollWidth") <= 390
        page.run("byId('close').click()")
    finally:
        page.resize(1280, 900)


def test_nothing_went_wrong_and_nothing_was_asked_for(page: Page, place: Path) -> None:
    assert page.errors == []
    assert set(page.requests) == {(place / "report.html").as_uri()}


def test_every_claim_has_its_line(text: str) -> None:
    section = text.partition('<section id="claims">')[2].partition("</section>")[0]
    found = kept_findings()
    rows = re.findall(r"<tr><td>(.*?)</td>(.*?)</tr>", section)
    assert [row.partition(":")[0] for row, _ in rows] == list(found)
    assert all(f"<td>{finding.verdict}</td>" in rest for (_, rest), finding in zip(rows, found.values(), strict=True))
    assert "&lt;br&gt;" not in section
