"""The cells of re_sln: several samples a cell, several cells a run, two published values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from common.errors import UsageError
from common.records.record_files import read_result
from common.results.result_table import GAP
from reproduce import plan
from reproduce.cells import PUBLISHED, Cell, Table, load_tables
from reproduce.cli import main
from reproduce.engines.commands import exact_commands
from reproduce.runs import DONE, FOREIGN, Run, distinct, runs_of, state_of
from reproduce.tables import paper_tables
from tests.reproduce import fake_program
from tests.reproduce.conftest import cells_content
from tests.reproduce.many_runs import write_runs

TABLES = {name: table for name, table in load_tables().items() if name.startswith("sln-")}
NUMBERS = yaml.safe_load(PUBLISHED.read_text())["re_sln"]
SIGMA = {"cifar10": {"sym": 1.0, "asym": 0.5, "dependent": 0.5, "openset": 0.5}}
SIGMA["cifar100"] = {"sym": 0.2, "asym": 0.2, "dependent": 0.1}
CUSTOM = " --custom_noise --custom_rng=rerun --asym_rules=rerun"


def cell(table: str, row: str, column: str) -> Cell:
    return next(cell for cell in TABLES[table].cells if (cell.row, cell.column) == (row, column))


def words(found: Cell, sample: str = "", seed: int = 123) -> str:
    return " ".join(found.command(seed, Path("x"), sample))


def pair(entry: Any) -> tuple[float, float | None]:
    return (entry[0], entry[1]) if isinstance(entry, list) else (entry, None)


def references(found: Cell) -> dict[str, tuple[float, float | None]]:
    return {known.source: (known.value, known.std) for known in found.references}


def test_the_commands_are_the_published_ones() -> None:
    assert words(cell("sln-cifar10", "SLN-MO-LC", "sym"), "paper") == (
        "python -m re_sln.train_cifar --dataset_name=cifar10 --noise_mode=sym --p=0.4 --sigma=1.0 --batch_size=128"
        " --n_epochs=300 --lr=0.001 --lc_n_epoch=250 --mo --run_dir=x/run --seed=123"
    )
    assert words(cell("sln-cifar100", "CE", "asym"), "custom", 0) == (
        "python -m re_sln.train_cifar --dataset_name=cifar100 --noise_mode=asym --p=0.4 --sigma=0.0 --batch_size=128"
        f" --n_epochs=300 --lr=0.001 --lc_n_epoch=-1{CUSTOM} --run_dir=x/run --seed=0"
    )
    assert words(cell("sln-sigma", "asym", "0.5"), "custom") == (
        "python -m re_sln.tune --dataset_name=cifar10 --p=0.4 --batch_size=128 --n_epochs=300 --lr=0.001"
        f" --val_size=0.1 --val_transform=train --noise_mode=asym{CUSTOM} --run_dir=x/run --seed=123"
    )
    assert words(cell("sln-animal10n", "SLN-MO", "animal-10n")) == (
        "python -m re_sln.train_real --dataset_name=animal-10n --sigma=0.5 --batch_size=128 --n_epochs=300"
        " --lr=0.001 --lc_n_epoch=-1 --mo --run_dir=x/run --seed=123"
    )


@pytest.mark.parametrize("name", ["sln-cifar10", "sln-cifar100"])
def test_every_cell_of_the_main_tables(name: str) -> None:
    dataset = name.removeprefix("sln-")
    assert TABLES[name].columns == tuple(SIGMA[dataset])
    assert TABLES[name].rows == tuple(NUMBERS[f"{dataset}_p0.4"])
    for found in TABLES[name].cells:
        entry = NUMBERS[f"{dataset}_p0.4"][found.row]
        assert references(found) == {
            "cited": pair(entry["paper"][found.column]),
            "rerun": pair(entry["rerun"][found.column]),
        }
        samples = {"dependent": ["paper"], "openset": ["custom"]}.get(found.column, ["paper", "custom"])
        assert list(found.samples) == samples
        flags = dict(re.findall(r"--(\w+)=?(\S*)", words(found, samples[0])))
        assert (flags["dataset_name"], flags["noise_mode"], flags["p"]) == (dataset, found.column, "0.4")
        assert float(flags["sigma"]) == (0 if found.row == "CE" else SIGMA[dataset][found.column])
        assert ("mo" in flags) == ("MO" in found.row)
        assert flags["lc_n_epoch"] == ("250" if "LC" in found.row else "-1")
        assert found.data[0] == dataset and "sln-noise" in found.data


def test_the_search_takes_four_numbers_from_one_run() -> None:
    table = TABLES["sln-sigma"]
    for found in table.cells:
        assert references(found) == {"rerun": pair(NUMBERS["sigma_search_cifar10_p0.4"][found.row][found.column])}
        assert found.metric == f"accuracy_val_sigma_{found.column}"
    runs = distinct(runs_of(table.cells, (123,), Path("nowhere")))
    assert [run.name for run in runs] == [
        f"sln-sigma-{mode}-{sample} seed 123" for mode in ("sym", "asym") for sample in ("paper", "custom")
    ]


def test_the_ablation_shares_its_ends_with_the_main_table() -> None:
    table = TABLES["sln-sigma-ablation"]
    assert [references(found)["rerun"] for found in table.cells] == list(
        map(pair, NUMBERS["sigma_ablation_cifar10_sym_p0.4"].values())
    )
    for row, column in (("CE", "0"), ("SLN", "1.0")):
        ours, other = cell("sln-sigma-ablation", "SLN", column), cell("sln-cifar10", row, "sym")
        for sample in ("paper", "custom"):
            assert ours.folder(5, Path("r"), sample) == other.folder(5, Path("r"), sample)
            assert sorted(words(ours, sample).split()) == sorted(words(other, sample).split())
    for found in table.cells:
        assert f"--sigma={float(found.column)} " in words(found, "paper")


def test_animal10n_has_the_reruns_value_and_one_sample() -> None:
    assert {found.row: references(found)["rerun"] for found in TABLES["sln-animal10n"].cells} == {
        row: pair(entry) for row, entry in NUMBERS["animal10n"].items()
    }
    assert all(list(found.samples) == [""] for found in TABLES["sln-animal10n"].cells)


def test_a_run_whose_command_has_the_former_name_of_a_value_still_counts(tmp_path: Path) -> None:
    found = cell("sln-cifar10", "SLN", "openset")
    write_runs([found], [123], tmp_path, evaluations=2)
    path = found.folder(123, tmp_path, "custom") / "run" / "result.json"
    result = json.loads(path.read_text())
    former = [word.replace("=rerun", "=seed") for word in result["command"]]
    assert former.count("--custom_rng=seed") == former.count("--asym_rules=seed") == 1
    path.write_text(json.dumps({**result, "command": former}))
    assert state_of(found, 123, tmp_path, "custom").state == DONE
    path.write_text(json.dumps({**result, "command": [word.replace("=seed", "=authors") for word in former]}))
    assert state_of(found, 123, tmp_path, "custom").state == FOREIGN


def test_no_two_different_commands_share_a_folder() -> None:
    commands: dict[Path, set[str]] = {}
    for table in TABLES.values():
        for found in table.cells:
            for sample in found.samples:
                line = " ".join(sorted(words(found, sample).split()))
                commands.setdefault(found.folder(123, Path("r"), sample), set()).add(line)
    assert all(len(lines) == 1 for lines in commands.values())
    assert len(commands) == 24 + 20 + 4 + 18 + 4 + 4


def test_the_published_seed_comes_first_and_the_cost_is_that_of_the_published_runs() -> None:
    for table in TABLES.values():
        assert {found.seeds for found in table.cells} == {(123, 0, 1, 2, 3)}
    runs = distinct(runs_of(TABLES["sln-cifar10"].cells, (123,), Path("nowhere")))
    assert len(runs) == 24
    assert plan.gpu_cost(runs) == "38 GPU-hours (measured on one V100, the published runs)"


def test_a_dry_run_names_each_run_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--table", "sln-sigma", "--dry_run", "--seeds=123"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert " -m re_sln.tune --dataset_name=cifar10 " in lines[0]
    assert "--run_dir=runs/re_sln/sln-sigma-sym-paper/seed_123/run --seed=123" in lines[0]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Two samples a cell, one run for both columns, a program that is given its own folder."""
    content = cells_content(max_iteration=4)
    content["programs"]["ieg"].update(sub_project="other", subfolder="run")
    content["tables"]["small"].update(
        published={
            "cited": ["ieg", "uniform_noise", "cifar10", "{row}", "{column}"],
        },
        statistic="population_std",
        taken="accuracy at the end",
        columns={"0": {"dataset": "cifar10"}, "9": {"dataset": "cifar10"}},
        samples={"one": {"flags": {"network_name": "a"}}, "two": {"columns": ["0"], "flags": {"network_name": "b"}}},
        shared_runs={"9": "small-{row}-0"},
        metric="accuracy",
    )
    path = tmp_path / "cells.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_tables(path)["small"]


def do(found: Cell, seed: int, sample: str, runs_dir: Path) -> Path:
    folder = found.folder(seed, runs_dir, sample)
    assert fake_program.main(found.command(seed, folder, sample)[3:]) == 0
    (result,) = folder.rglob("result.json")
    return result


def test_a_cell_is_the_mean_over_samples_and_a_shared_run_counts_for_both(table: Table, tmp_path: Path) -> None:
    first, second = table.cells
    for sample, accuracy in (("one", 0.7544), ("two", 0.7531)):
        path = do(first, 0, sample, tmp_path)
        assert path.is_relative_to(tmp_path / "other" / f"small-a-0-{sample}" / "seed_0" / "run")
        path.write_text(json.dumps({**read_result(path.parent), "metrics": {"accuracy": accuracy}}))
    runs = runs_of(table.cells, (0,), tmp_path)
    assert [run.state for run in runs] == [DONE] * 3
    assert len(distinct(runs)) == 2
    assert paper_tables.filled(table, runs).markdown().splitlines()[4:] == [
        "| IEG wrn28-10 10/class | 75.37 ± 0.07 (n = 2: 75.44, 75.31)<br>cited 96.80"
        "<br>gap to cited -21.43 points, -329.6 std | 75.44 (n = 1)<br>published - |",
        "",
        "Ours: mean ± population standard deviation (ddof 0) over seeds and samples of the noise; accuracy at the end,"
        " never the best on test.",
        "cited: the paper's value, as printed beside an independent re-run.",
        "published -: published value not at hand.",
        GAP,
    ]
    header, line, _ = paper_tables.filled(table, runs).csv().splitlines()
    assert ",n,mean,population_std,values," in header
    assert line.split(",")[:5] == ["small-a-0", "IEG wrn28-10 10/class", "0", "accuracy", "2"]
    assert second.run_name("one") == first.run_name("one")


def test_a_run_of_the_other_sample_never_counts(table: Table, tmp_path: Path) -> None:
    first = table.cells[0]
    path = do(first, 0, "one", tmp_path)
    other = first.folder(0, tmp_path, "two") / "run"
    other.mkdir(parents=True)
    path.rename(other / "result.json")
    run = state_of(first, 0, tmp_path, "two")
    assert run.state == FOREIGN
    assert "it ran with --network_name a, the cell asks for b" in run.why


def test_the_engine_starts_the_samples_command(table: Table, tmp_path: Path) -> None:
    run = runs_of(table.cells, (0,), tmp_path)[1]
    command = " ".join(*exact_commands(run))
    assert run.sample == "two"
    assert f"--network_name=b --checkpoint_path={run.folder}/run --seed=0" in command


def test_the_first_seed_of_every_cell_is_run_first(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    def note(self: object, runs: list[Run]) -> list[Run]:
        started.extend(run.name for run in runs)
        return []

    monkeypatch.setattr("reproduce.commands.run.LocalEngine.run", note)
    words = ["run", "--cells", str(tmp_path / "cells.yaml"), "--runs_dir", str(tmp_path), "--table", "small", "--force"]
    assert main([*words, "--seeds", "7,3"]) == 0
    assert started == [f"small-a-0-{sample} seed {seed}" for seed in (7, 3) for sample in ("one", "two")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("statistic: population_std", "statistic: median", "'median' is none of sample_std, population_std"),
        ("uniform_noise", "no_such_noise", "no_such_noise"),
        ("      one:\n", "      one:\n        columns: [x]\n", "column 9: none of the samples"),
    ],
)
def test_a_wrong_entry_is_one_sentence(table: Table, tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "cells.yaml"
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match=message):
        load_tables(path)
