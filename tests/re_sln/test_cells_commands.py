"""The programs take the commands of reproduce/cells/sln.yaml, and their runs land in the cells of results.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.registry import load_registry
from re_sln.search.search import METRIC, parse_search, resolve_search
from re_sln.settings.config import resolve
from re_sln.settings.flags import PROGRAMS, parse_flags
from re_sln.tables.cell_of_run import place_of, search_place
from reproduce.cells import Cell, load_tables
from tests.data.standin import write_cifar

TABLES = load_tables()
CELLS = [
    pytest.param(cell, sample, id=f"{cell.id}-{sample}")
    for name, table in TABLES.items()
    if name.startswith("sln-")
    for cell in table.cells
    for sample in cell.samples
]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the authors' files, and for the images of openset noise: nothing is trained."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    for archive in load_registry()["sln-noise"].archives:
        path = tmp_path / "label_noisy" / archive.into
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    write_cifar(tmp_path, "cifar100", train=100, test=100)


@pytest.mark.parametrize(("cell", "sample"), CELLS)
def test_a_cells_run_is_found_as_that_cell(cell: Cell, sample: str, tmp_path: Path) -> None:
    command = cell.command(123, tmp_path, sample)
    program, words = (
        command[2].removeprefix("re_sln."),
        [*command[3:], *(["--allow_unverified"] if sample != "custom" else [])],
    )
    if program == "tune":
        search = resolve_search(parse_search(words))
        assert search.folder == tmp_path / "run"
        assert search_place(search.record(), cell.data[0]) == ("cifar10", "", cell.row)
        assert cell.metric in [METRIC + sigma for sigma in search.trials]
        return
    config = resolve(PROGRAMS[program], parse_flags(PROGRAMS[program], words))
    place = place_of(config.record(), cell.data[0])
    assert (place.data, place.setting, place.extra) == (cell.data[0], "", "")
    if cell.table == "sln-sigma-ablation":
        assert place.sigma == float(cell.column)
        assert place.column == "sym"
    else:
        assert (place.row, place.column) == (cell.row, "-" if cell.column == cell.data[0] else cell.column)
