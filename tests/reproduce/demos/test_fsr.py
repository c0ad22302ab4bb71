from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from common.results.weight_pictures import weights_by_class
from reproduce.cells import DEMO, load_tables
from reproduce.cells.files import PROGRAMS, read_yaml
from reproduce.cli import main
from reproduce.demo_cells import prepare
from reproduce.demos import fsr as demo_fsr
from reproduce.runs import runs_of
from tests.reproduce.fake_program import accuracy

PICTURES = ("learning_curves_noise", "learning_curves_tail", "example_weights", "queue_purity", "class_weights")


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    """The demo's own table, with the fake program and few steps."""
    content = yaml.safe_load(DEMO.read_text())
    content["programs"]["ieg"] |= read_yaml(PROGRAMS)["ieg.main"] | {
        "command": ["python", "-m", "tests.reproduce.fake_program"]
    }
    table = content["tables"]["demo-fsr"]
    table["flags"] = {"max_iteration": 4}
    table["columns"] = {"noise": {"dataset": "digits_uniform_0.6"}, "tail": {"dataset": "digits_imbal_0.02"}}
    for row in table["rows"].values():
        row["flags"] = {"method": row["flags"]["method"]}
        row.pop("flags_by_column", None)
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_table_and_pictures(cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cells.parent
    words = [
        "demo",
        "--table",
        "demo-fsr",
        f"--cells={cells}",
        f"--runs_dir={folder / 'runs'}",
        f"--out={folder / 'out'}",
    ]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "18 runs to do" in printed.err
    lines = [line.split("|") for line in printed.out.splitlines() if line.startswith("|")][2:]
    methods = [(data, row) for data in demo_fsr.DATA.values() for row in ("supervised", "L2R", "FSR")]
    assert [(line[1].strip(), line[2].strip()) for line in lines] == methods
    for line, method in zip(lines, 2 * ["supervised", "l2r", "fsr"], strict=True):
        values = [100 * accuracy(method, seed, 4) for seed in (0, 1, 2)]
        assert line[3].strip().startswith(f"{sum(values) / 3:.1f} ±")
        assert line[6].strip().startswith(f"{sum(values) / 3 - 1:.1f} ±")
        assert line[7].strip() == ("20" if method == "l2r" else "0")
    assert "no published number" in printed.out
    assert "max_iteration 4" in printed.out
    for name in PICTURES:
        assert (folder / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f"{name}.png" in printed.out
    assert (folder / "out" / "table.png").exists()


def test_weights_by_class(cells: Path) -> None:
    import numpy as np

    words = ["demo", "--table", "demo-fsr", f"--cells={cells}", f"--runs_dir={cells.parent / 'runs'}", "--seeds=0"]
    assert main([*words, f"--out={cells.parent / 'out'}"]) == 0
    table = prepare(load_tables(cells)["demo-fsr"])
    run = next(run for run in runs_of(table.cells, (0,), cells.parent / "runs") if run.cell.row == "FSR")
    assert run.record_folder
    with np.load(run.record_folder / "example_weights.npz") as file:
        weights, labels = file["weight"], file["label"]
    found = weights_by_class(run.record_folder / "example_weights.npz")
    assert [(label, count) for label, count, _ in found] == [(label, 20) for label in range(10)]
    for c, _, weight in found:
        own = [value for value, label in zip(weights, labels, strict=True) if label == c and value == value]
        assert weight == pytest.approx(sum(own) / len(own), rel=1e-5)


def test_the_demo_as_it_is_shipped() -> None:
    cells = prepare(load_tables(DEMO)["demo-fsr"]).cells
    assert [cell.flags["method"] for cell in cells] == ["supervised"] * 2 + ["l2r"] * 2 + ["fsr"] * 2
    assert [cell.flags["dataset"] for cell in cells] == 3 * ["digits_uniform_0.6", "digits_imbal_0.02"]
    assert all(cell.seeds == (0, 1, 2) for cell in cells)
    assert {cell.column for cell in cells} == set(demo_fsr.DATA)
    noise, tail = cells[-2:]
    assert tail.flags["use_mixup"] is False
    assert "use_mixup" not in noise.flags
