"""The published logs give the published tables, to the last digit."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from common.results.published import PUBLISHED
from re_sln.results import main
from tests.re_sln.logged_runs import ARCHIVE, ROOT, no_pictures, unpack  # noqa: F401 a fixture

NUMBERS = yaml.safe_load(PUBLISHED.read_text())["re_sln"]
TABLES = ("cifar10", "cifar100", "animal-10n", "sigma-search", "sigma-ablation")
CURVES = [f"curves-{name}-{kind}.png" for name in TABLES[:3] for kind in ("accuracy", "zoom", "loss")]
# Cells where exact fractions, or float32 throughout, end one digit away from what was published (re_sln_golden).
TIES = {
    *(("cifar10", model, "asym") for model in ("CE", "SLN-MO", "SLN-MO-LC")),
    ("cifar100", "CE", "sym"),
    *(("cifar100", model, "asym") for model in ("CE", "SLN", "SLN-MO", "SLN-MO-LC")),
    *(("sigma-ablation", "SLN", sigma) for sigma in ("0.2", "0.4", "0.8", "1.2", "1.4", "1.8")),
}

pytestmark = pytest.mark.skipif(not ARCHIVE.is_file(), reason=f"needs the published logs, {ARCHIVE}, see SHARED_DATA")


def published() -> dict[tuple[str, str, str], list[float] | float]:
    """Every published number of the re-run by table, row, column."""
    found: dict[tuple[str, str, str], list[float] | float] = {}
    for data in ("cifar10", "cifar100"):
        for row, entry in NUMBERS[f"{data}_p0.4"].items():
            found |= {(data, row, mode): value for mode, value in entry["rerun"].items()}
    for mode, entry in NUMBERS["sigma_search_cifar10_p0.4"].items():
        found |= {("sigma-search", mode, sigma): value for sigma, value in entry.items()}
    found |= {("sigma-ablation", "SLN", s): v for s, v in NUMBERS["sigma_ablation_cifar10_sym_p0.4"].items()}
    return found | {("animal-10n", row, "animal-10n"): value for row, value in NUMBERS["animal10n"].items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The files that results.py makes of the published logs, and what it prints."""
    place = tmp_path_factory.mktemp("published logs")
    program, out = ROOT / "re_sln" / "results.py", place / "out"
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"} | {"MPLBACKEND": "TkAgg"}
    done = subprocess.run(
        [sys.executable, str(program), f"--logdir={unpack(place)}", "--out", str(out)],
        cwd=ROOT / "re_sln",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "70 runs, 4 searches" in done.stderr
    assert "left out" not in done.stderr
    return out, done.stdout


@pytest.fixture(scope="module")
def cells(made: tuple[Path, str]) -> dict[tuple[str, str, str], dict[str, str]]:
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for table in TABLES:
        with open(made[0] / f"{table}.csv", newline="") as file:
            lines = list(csv.DictReader(file))
        found |= {(table, line["row"], line["column"]): line for line in lines if line["source"] == "rerun"}
    return found


def test_every_cell_is_there(cells: dict[tuple[str, str, str], dict[str, str]]) -> None:
    assert set(cells) == set(published())
    assert len([key for key in cells if key[0] != "sigma-search"]) == 43
    assert len([key for key in cells if key[0] == "sigma-search"]) == 8


@pytest.mark.parametrize("key", list(published()), ids=" ".join)
def test_every_cell_to_the_last_digit(
    key: tuple[str, str, str], cells: dict[tuple[str, str, str], dict[str, str]]
) -> None:
    entry, line = published()[key], cells[key]
    if isinstance(entry, list):
        assert [round(float(line["mean"]), 2), round(float(line["population_std"]), 2)] == entry
        assert line["n"] == "2"
        assert [float(line["published"]), float(line["published_std"])] == entry
    else:
        assert round(float(line["mean"]), 2) == entry == float(line["published"])
        assert (line["n"], line["population_std"]) == ("1", "")


def test_other_arithmetic_would_miss_the_ties(cells: dict[tuple[str, str, str], dict[str, str]]) -> None:
    missed = set()
    for key, entry in published().items():
        if isinstance(entry, list) and key[0] != "sigma-search":
            values = [float(value) for value in cells[key]["values"].split()]
            single = np.array(values, np.float32)
            exact = [round(value, 2) for value in values]
            for mean, std in ((np.mean(exact), np.std(exact)), (np.mean(single), np.std(single))):
                if [round(float(mean), 2), round(float(std), 2)] != entry:
                    missed.add(key)
    assert missed == TIES


def test_what_is_printed(made: tuple[Path, str]) -> None:
    out, printed = made
    squeezed = "\n".join(" ".join(line.split()) for line in printed.splitlines())
    for text in (
        "| CE | 54.15 ± 1.90 (n = 2: 56.05, 52.25)<br>cited 53.16 ± 1.64<br>rerun 54.15 ± 1.90<br>gap to cited +0.99",
        "| 85.38 ± 0.49 (n = 2: 84.89, 85.86)<br>cited 84.80 ± 0.27<br>rerun 85.38 ± 0.49<br>",
        "| 80.97 (n = 1)<br>cited 80.56 ± 0.16<br>rerun 80.97<br>",
        "| SLN-MO-LC | 78.92 ± 0.36 (n = 2: 79.28, 78.56)<br>rerun 78.92 ± 0.36<br>gap to rerun",
        "| 33.23 ± 1.01 (n = 2: 34.24, 32.22)<br>rerun 33.23 ± 1.01<br>",
        "| 79.40 ± 0.58 (n = 2: ",
        "cited: the paper's value, as printed beside an independent re-run.",
        "Best σ of these searches: sym 1.0, asym 0.2 (the tables use 0.5 all the same).",
    ):
        assert text in squeezed
    assert "not run" not in printed
    assert "Not a published setting" not in printed
    for name in TABLES:
        text = (out / f"{name}.md").read_text()
        assert text in printed


def test_the_files(made: tuple[Path, str]) -> None:
    out, _ = made
    tables = [f"{name}.{kind}" for name in TABLES for kind in ("md", "csv", "png", "tex")]
    assert sorted(path.name for path in out.iterdir()) == sorted([*tables, *CURVES])
    for path in out.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_curves_are_the_reference_curves(tmp_path: Path) -> None:
    """Some values of the golden page, epochs from 1 on."""
    from re_sln.tables.run_logs import read_logs

    runs = unpack(tmp_path)
    (found,) = (
        run
        for run in read_logs(runs, tmp_path / "configs").runs
        if run.place.row == "SLN-MO-LC" and run.place.column == "sym" and run.sample == "paper"
        if run.place.data == "cifar10"
    )
    test, train = dict(found.curves["accuracy/test"]), dict(found.curves["accuracy/train"])
    assert [round(test[epoch], 4) for epoch in (1, 2, 10, 250, 300)] == [0.0993, 0.1177, 0.4106, 0.8517, 0.8745]
    assert [round(train[epoch], 4) for epoch in (249, 250, 251)] == [0.5308, 0.6010, 0.8587]
    assert round(dict(found.curves["loss/train_all"])[250], 4) == 1.2281


@pytest.mark.usefixtures("no_pictures")
def test_one_missing_run_is_told_and_its_cell_says_n_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = unpack(tmp_path)
    gone = runs / "exp_2021-11-25 13:17:26.851200"
    for path in sorted(gone.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert main([f"--logdir={runs}", f"--out={tmp_path / 'out'}"]) == 0
    printed, told = capsys.readouterr()
    assert f"left out: {gone.name}: {gone} holds no event file" in told
    assert "| 52.25 (n = 1)<br>" in printed
