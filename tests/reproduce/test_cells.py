from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import UsageError
from common.results.result_table import ResultTable
from reproduce.cells import DEMO, PUBLISHED, Cell, Table, load_tables, select
from reproduce.tables import paper_tables
from tests.reproduce.conftest import cells_content

TABLES = load_tables()
ALL_CELLS = [cell for table in TABLES.values() for cell in table.cells]
PAPERS = yaml.safe_load(PUBLISHED.read_text())
SETTINGS = {"method", "k", "alpha", "note"}  # of a row of moco_nonsem
NUMBERS = PAPERS["ieg"]
SECTIONS = {
    "ieg-cifar10": NUMBERS["uniform_noise"]["cifar10"],
    "ieg-cifar100": NUMBERS["uniform_noise"]["cifar100"],
    "ieg-ablation": NUMBERS["ablation_cifar100"],
}

IEG_CELLS = [cell for cell in ALL_CELLS if cell.table in SECTIONS]


def cell(name: str) -> Cell:
    return next(cell for cell in ALL_CELLS if cell.id == name)


def leaves(numbers: Any) -> Iterator[tuple[float, float | None]]:
    """Every published number in nested mappings and lists, with its standard deviation."""
    if isinstance(numbers, dict):
        for key, part in numbers.items():
            yield from () if key in SETTINGS else leaves(part)
    elif isinstance(numbers, list) and isinstance(numbers[0], dict):
        for part in numbers:
            yield from leaves(part)
    elif numbers is not None:
        yield tuple(numbers) if isinstance(numbers, list) else (numbers, None)


def test_every_published_number_stands_in_a_table_and_no_other() -> None:
    """Each as often as the papers print it; the tests below say that it stands in its own place."""
    stands = [(known.value, known.std) for cell in ALL_CELLS for known in cell.references]
    quoted = [(known.value, known.std) for t in TABLES.values() for row in t.quoted.values() for known in row.values()]
    published = list(leaves(PAPERS))
    assert len(published) > 200
    assert Counter([*stands, *quoted]) == Counter(published)


def test_the_rows_that_are_quoted_are_those_we_cannot_run() -> None:
    assert {name: tuple(table.quoted) for name, table in TABLES.items() if table.quoted} == {
        "ieg-cifar10": ("GCE", "MentorNet DD (5k trusted)", "RoG", "Arazo et al."),
        "ieg-cifar100": ("GCE", "MentorNet (5k trusted)", "Arazo et al."),
        "ieg-ablation": tuple(SECTIONS["ieg-ablation"])[8:],
    }
    for name, section in SECTIONS.items():
        assert {*TABLES[name].rows, *TABLES[name].quoted} == set(section)
        for row, known in TABLES[name].quoted.items():
            texts = {column: [one.value, one.std] for column, one in known.items()}
            wanted = {
                column: entry if isinstance(entry, list) else [entry, None] for column, entry in section[row].items()
            }
            assert texts == wanted


def test_golden_commands() -> None:
    folder = Path("runs/x")
    assert " ".join(cell("ieg-cifar100-wrn28-10-10-0.8").command(12345, folder)) == (
        "python -m ieg.main --dataset=cifar100_uniform_0.8 --network_name=wrn28-10 --probe_dataset_hold_ratio=0.02"
        " --checkpoint_path=runs/x --seed=12345"
    )
    assert " ".join(cell("ieg-cifar10-l2r-0").command(1, folder)) == (
        "python -m ieg.main --dataset=cifar10 --network_name=wrn28-10 --probe_dataset_hold_ratio=0.02 --method=l2r"
        " --checkpoint_path=runs/x --seed=1"
    )
    assert " ".join(cell("ieg-ablation-row1-0.4").command(1, folder)) == (
        "python -m ieg.main --dataset=cifar100_uniform_0.4 --network_name=wrn28-10 --probe_dataset_hold_ratio=0.02"
        " --no_meta_relabel --consistency_factor=0 --no_mixup --no_probe_mixing --checkpoint_path=runs/x --seed=1"
    )


@pytest.mark.parametrize("cell", IEG_CELLS, ids=lambda cell: cell.id)
def test_every_published_number_is_that_of_its_row_and_column(cell: Cell) -> None:
    entry = SECTIONS[cell.table][cell.row][cell.column]
    (published,) = cell.references
    assert [published.value, published.std] == (entry if isinstance(entry, list) else [entry, None])
    assert published.source == "paper"


@pytest.mark.parametrize("cell", IEG_CELLS, ids=lambda cell: cell.id)
def test_the_command_says_what_row_and_column_say(cell: Cell) -> None:
    words = re.findall(r"--dataset=(cifar100?)(?:_uniform_(\S+))?", " ".join(cell.command(0, Path())))
    assert words == [(cell.data[0], cell.column if cell.column != "0" else "")]
    per_class = re.search(r"(\d+)/class", cell.row)
    if per_class:
        classes = {"cifar10": 10, "cifar100": 100}[cell.data[0]]
        assert float(cell.flags["probe_dataset_hold_ratio"]) * 50000 == pytest.approx(int(per_class[1]) * classes)
    network = re.search(r"resnet29|wrn28-10", cell.row)
    assert cell.flags["network_name"] == (network[0] if network else "wrn28-10")


def test_fsr_and_webvision_have_their_published_numbers_and_no_others() -> None:
    cells = [cell for cell in ALL_CELLS if cell.table.startswith("fsr-") or cell.table == "ieg-webvision"]
    assert {cell.sub_project for cell in cells} == {"ieg"}
    found = {cell.id: [(value.value, value.source) for value in cell.references] for cell in cells if cell.references}
    fsr, webvision = PAPERS["fsr"], PAPERS["fsr"]["webvision_mini"]["FSR resnet50"]
    assert found == {
        "ieg-webvision-ieg-webvision_top1": [(NUMBERS["webvision_mini"]["IEG"]["webvision_top1"], "aggregator")],
        "fsr-cifar100-fsr-0.2": [(fsr["uniform_noise"]["cifar100"]["FSR wrn28-10"]["0.2"], "aggregator")],
        "fsr-webvision-fsr-webvision_top1": [(webvision["webvision_top1"], "aggregator")],
        "fsr-webvision-fsr-imagenet_top1": [(webvision["imagenet_top1"], "aggregator")],
    }


def test_the_columns_of_fsr_say_which_data_set() -> None:
    for own in (cell for cell in ALL_CELLS if cell.table.startswith("fsr-") and "webvision" not in cell.table):
        data, kind, *numbers = own.flags["dataset"].split("_")
        kinds = {"longtail": "imbal", "asymmetric": "asymmetric"}
        assert (data, kind) == (own.data[0], kinds.get(own.table.split("-")[1], "uniform"))
        assert numbers[-1] == own.column
        assert own.flags["method"] == "fsr"


def test_both_numbers_of_webvision_come_from_one_run() -> None:
    for name in ("ieg-webvision", "fsr-webvision"):
        one, other = TABLES[name].cells
        assert one.run_name() == other.run_name()
        assert (one.metric, other.metric) == ("webvision_top1", "imagenet_top1")
        assert one.gpus == 8


def test_all_rows_that_we_can_run_are_there() -> None:
    for name in ("ieg-cifar10", "ieg-cifar100"):
        assert set(TABLES[name].rows) == {row for row in SECTIONS[name] if row.startswith(("IEG", "L2R"))}
        assert TABLES[name].columns == ("0", "0.2", "0.4", "0.8")
        assert len(TABLES[name].cells) == 20
    assert TABLES["ieg-ablation"].rows == tuple(SECTIONS["ieg-ablation"])[:8]


def test_the_tables_whose_values_are_not_at_hand_are_there() -> None:
    cells = {name: len(TABLES[name].cells) for name in TABLES if not any(c.references for c in TABLES[name].cells)}
    assert cells == {
        **{"ieg-asymmetric": 4, "ieg-uniform95": 4, "fsr-cifar10": 3, "fsr-asymmetric": 2, "fsr-longtail-cifar10": 5},
        **{"fsr-longtail-cifar100": 5, "fsr-longtail-noise": 2, "sln-clothing1m": 4},
    }
    for own in (cell for name in ("ieg-asymmetric", "ieg-uniform95") for cell in TABLES[name].cells):
        data, kind, ratio = own.flags["dataset"].split("_")
        assert (data,) == own.data
        assert (kind, ratio) == (("asymmetric", own.column) if own.table == "ieg-asymmetric" else ("uniform", "0.95"))
        trusted = float(own.flags["probe_dataset_hold_ratio"]) * 50000
        assert trusted == pytest.approx(10 * {"cifar10": 10, "cifar100": 100}[data])
        assert own.flags["network_name"] in own.row


def test_clothing1m_as_the_authors_train_it() -> None:
    commands = {own.row: " ".join(own.command(123, Path("x"))) for own in TABLES["sln-clothing1m"].cells}
    start = "python -m re_sln.train_clothing1m --dataset_name=clothing1m"
    rest = "--batch_size=32 --n_epochs=10 --lr=0.001"
    assert commands == {
        "CE": f"{start} --sigma=0.0 {rest} --lc_n_epoch=-1 --run_dir=x/run --seed=123",
        "SLN": f"{start} --sigma=0.2 {rest} --lc_n_epoch=-1 --run_dir=x/run --seed=123",
        "SLN-MO": f"{start} --sigma=0.2 {rest} --lc_n_epoch=-1 --mo --run_dir=x/run --seed=123",
        "SLN-MO-LC": f"{start} --sigma=0.2 {rest} --lc_n_epoch=2 --mo --run_dir=x/run --seed=123",
    }
    assert cell("sln-clothing1m-ce-clothing1m").steps == 10 * (14 * 18976 // 32)


def without_runs(table: Table) -> ResultTable:
    return paper_tables.filled(table, [])


def test_what_is_not_at_hand_and_what_is_quoted_is_said() -> None:
    known = without_runs(TABLES["ieg-cifar10"]).markdown()
    assert "| GCE                       | paper 93.5" in known and "Without a value of ours: GCE, " in known
    assert "not at hand" not in known
    assert re.search(r"\| RoG +\| paper 94.2 +\| paper 87.4 +\| paper 81.8 +\| - +\|", known)
    assert ",GCE,0.2,,0,,,,89.9,0.2,paper,,,\n" in without_runs(TABLES["ieg-cifar10"]).csv()
    assert "published -: published value not at hand." in without_runs(TABLES["fsr-asymmetric"]).markdown()
    assert "not at hand" not in without_runs(load_tables(DEMO)["demo"]).markdown()


def test_ids_are_unique_and_safe() -> None:
    ids = [cell.id for cell in [*ALL_CELLS, *load_tables(DEMO)["demo"].cells]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", name) for name in ids)


def test_measured_cost_follows_from_the_measured_speed() -> None:
    measured = cell("ieg-cifar10-resnet29-10-0.8").cost
    assert measured.gpu_hours == pytest.approx(200000 / 4.0 / 3600, abs=0.05)
    assert measured.basis.startswith("measured")
    assert cell("ieg-cifar10-l2r-0.8").cost.basis == "estimated"


def test_the_demo_takes_its_steps_from_its_flags() -> None:
    demo = load_tables(DEMO)["demo"].cells
    assert {cell.steps for cell in demo} == {demo[0].flags["max_iteration"]}
    assert not any(cell.references for cell in demo)


@pytest.mark.parametrize(("flag", "folder"), [("run_dir", "runs/seed_0/run"), ("checkpoint_path", "runs/seed_0")])
def test_a_program_that_writes_into_its_folder_gets_one_below_the_runners(
    flag: str, folder: str, tmp_path: Path
) -> None:
    """Both lock theirs: in one folder the program would wait for the runner that waits for it."""
    content = cells_content()
    content["programs"]["ieg"]["folder_flag"] = flag
    (tmp_path / "cells.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    first = load_tables(tmp_path / "cells.yaml")["small"].cells[0]
    assert f"--{flag}={folder}" in first.command(0, Path("runs/seed_0"))


def test_a_flag_of_a_column_that_the_table_replaces_is_refused(tmp_path: Path) -> None:
    content = cells_content(dataset="cifar10_uniform_0.4")
    path = tmp_path / "cells.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    with pytest.raises(UsageError, match="is replaced by the table's"):
        load_tables(path)


def test_an_unknown_table_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'x'; there are: ieg-cifar10, ieg-cifar100"):
        select(TABLES, "x")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metric: accuracy", "", "missing"),
        ("seeds:", "sedes:", "seeds"),
        ("cost: small", "cost: large", "large"),
        ("rows:", "rows: [", "cells"),
        ("rows:", "quoted: {why: x, rows: [Nobody]}\n    rows:", "quoted row Nobody: no number of it was published"),
    ],
)
def test_a_wrong_cells_file_is_one_sentence(write_cells: Callable[..., Path], old: str, new: str, message: str) -> None:
    path = write_cells()
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(UsageError, match=message):
        load_tables(path)


@pytest.mark.parametrize("content", ["[" * 5000, "tables: 2024-99-99\n", "{[a]: b}", "tables: !!python/x y"])
def test_a_file_that_yaml_chokes_on_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "cells.yaml").write_text(content)
    with pytest.raises(UsageError, match=r"cells\.yaml"):
        load_tables(tmp_path / "cells.yaml")
