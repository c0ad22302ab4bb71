from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from reproduce.cells import DEMO, load_tables
from reproduce.cells.files import PROGRAMS, read_yaml
from reproduce.cli import main
from reproduce.demo_cells import prepare
from tests.reproduce.fake_program import accuracy


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """The demo's own file, with the fake program and few steps."""
    content = yaml.safe_load(DEMO.read_text())
    content["programs"]["ieg"] |= read_yaml(PROGRAMS)["ieg.main"] | {
        "command": ["python", "-m", "tests.reproduce.fake_program"]
    }
    content["tables"]["demo"]["flags"] = {"dataset": "digits_uniform_0.8", "max_iteration": 6}
    for row in content["tables"]["demo"]["rows"].values():
        row["flags"] = {"method": row["flags"]["method"]}
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def run(cells: Path, *more: str) -> int:
    folder = cells.parent
    return main(
        ["demo", "--cells", str(cells), "--runs_dir", str(folder / "runs"), "--out", str(folder / "out"), *more]
    )


def test_table_and_pictures(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cells) == 0
    printed = capsys.readouterr()
    assert "9 runs to do" in printed.err
    assert re.search(r"\n0/9 runs, 0:0\d so far, ", printed.err)  # at once, though this is no terminal
    values = [100 * accuracy("ieg", seed, 6) for seed in (0, 1, 2)]
    assert ", ".join(f"{value:.1f}" for value in values) in printed.out
    assert f"{sum(values) / 3:.1f} ±" in printed.out
    assert "no published number" in printed.out
    for name in ("learning_curves.png", "example_weights.png", "table.png"):
        assert (cells.parent / "out" / name).read_bytes().startswith(b"\x89PNG")
    curves = (cells.parent / "out" / "learning_curves.png").read_bytes()
    assert run(cells) == 0
    again = capsys.readouterr()
    assert again.out == printed.out
    assert "runs to do" not in again.err
    assert (cells.parent / "out" / "learning_curves.png").read_bytes() == curves


def test_of_one_seed_the_longest_run_begins_first(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cells, "--seeds", "0,1", "--jobs", "1") == 0
    done = [line for line in capsys.readouterr().err.splitlines() if " done: " in line]
    names = [line.partition("done: ")[2] for line in done]
    assert [name.split("-")[1] for name in names] == ["ieg", "l2r", "supervised"] * 2
    assert [name[-1] for name in names] == ["0"] * 3 + ["1"] * 3


def test_other_settings_are_other_runs(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(cells, "--seeds", "0") == 0
    cells.write_text(cells.read_text().replace("method: ieg", "method: ieg\n          network_name: other"))
    capsys.readouterr()
    assert run(cells, "--seeds", "0") == 0
    assert "1 runs to do (2 of 3" in capsys.readouterr().err


def test_a_failure_is_told_and_no_table_is_drawn(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells.write_text(cells.read_text().replace("max_iteration: 6", "max_iteration: 6\n      fail_seed: 2"))
    assert run(cells, "--seeds", "2") == 1
    assert "FAILED" in capsys.readouterr().err
    assert not (cells.parent / "out").exists()


def test_the_demo_as_it_is_shipped() -> None:
    cells = prepare(load_tables(DEMO)["demo"]).cells
    assert [cell.flags["method"] for cell in cells] == ["supervised", "l2r", "ieg"]
    assert all(cell.seeds == (0, 1, 2) and cell.flags["dataset"] == "digits_uniform_0.8" for cell in cells)
    assert len({cell.id for cell in cells}) == 3
    assert {cell.flags["image_size"] for cell in cells} == {8}  # 16×16 take five times as long
