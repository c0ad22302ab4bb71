"""The cells of moco_nonsem: a chain of three programs gives all columns of a row."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from reproduce.cells import PUBLISHED, Cell, load_tables
from reproduce.runs import distinct, runs_of

TABLES = load_tables()
NUMBERS = yaml.safe_load(PUBLISHED.read_text())["moco_nonsem"]
NAMES = {"moco-imagenet100": "imagenet100", "moco-imagenet100-ifm": "imagenet100_ifm_settings"}


def cell(table: str, row: str, column: str = "in100") -> Cell:
    return next(cell for cell in TABLES[table].cells if (cell.row, cell.column) == (row, column))


def words(found: Cell) -> list[str]:
    return [" ".join(command) for command in found.commands(1, Path("x"), data_dir=Path("d"))]


def test_the_chain_of_a_row() -> None:
    pretrain, lincls, scored = words(cell("moco-imagenet100", "+ Patch, K 16384, α 3"))
    assert pretrain == (
        "python -m moco_nonsem.moco-non-sem-neg d/imagenet100 --arch=resnet50 --epochs=200 --moco-t=0.2 --mlp"
        " --aug-plus --cos --bn-splits=8 --lr=0.03 --batch-size=128 --moco-k=16384 --robust=patch"
        " --alpha=3 --patch-ratio 16 72 --run_dir=x/pretrain --seed=1"
    )
    assert lincls == (
        "python -m moco_nonsem.main_lincls d/imagenet100 --arch=resnet50 --lr=10 --batch-size=128 --epochs=60"
        " --pretrained=x/pretrain/checkpoint_0199.pth.tar --run_dir=x/lincls --seed=1"
    )
    assert scored == (
        "python -m moco_nonsem.eval_robustness x/lincls/checkpoint_robust_0199.pth.tar --arch=resnet50"
        " --val=d/imagenet100/val --imagenet-c=d/imagenet100-c --sketch=d/imagenet100-sketch"
        " --stylized=d/imagenet100-stylized --rendition=d/imagenet100-r --run_dir=x/eval --seed=1"
    )


def test_the_rows_that_differ_in_more() -> None:
    texture = words(cell("moco-imagenet100", "+ Texture, K 16384, α 2"))[0]
    assert " d/imagenet100-texture " in texture and "--robust=texture --alpha=2" in texture and "patch" not in texture
    plain = words(cell("moco-imagenet100-ifm", "MoCo-v2, K 65536"))[0]
    assert "--lr=0.8 --batch-size=512 --moco-m=0.99 --moco-k=65536 --robust=none --run_dir" in plain
    assert "--moco-k=16384 --robust=patch" in words(cell("moco-imagenet100-ifm", "+ Patch, K 16384, α 2"))[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_published_number_has_its_cell_and_no_other(name: str) -> None:
    wanted = {}
    for entry in NUMBERS[NAMES[name]]:
        row = f"{entry['method']}, K {entry['k']}" + (f", α {entry['alpha']}" if entry["alpha"] else "")
        for column in ("in100", "c", "sketch", "stylized", "rendition"):
            wanted[row, column] = [("authors", *entry[column])] if entry[column] else []
    found = {(c.row, c.column): [(r.source, r.value, r.std) for r in c.references] for c in TABLES[name].cells}
    assert found == wanted
    assert all(c.metric == c.column for c in TABLES[name].cells)


def test_one_run_a_row_and_seed(tmp_path: Path) -> None:
    runs = runs_of(TABLES["moco-imagenet100"].cells, (0, 1, 2), tmp_path)
    assert len(runs) == 6 * 5 * 3 and len(distinct(runs)) == 6 * 3


def test_the_programs_take_these_flags() -> None:
    """The parsers know every flag of every cell's commands and what its value may be."""
    pytest.importorskip("torch", reason="moco_nonsem runs in the PyTorch environment")
    from common.flags import parse
    from moco_nonsem.running import flags

    classes = [flags.PretrainFlags, flags.LinearFlags, flags.RobustnessFlags]
    for name in NAMES:
        for found in TABLES[name].cells:
            for command, kind in zip(found.commands(0, Path("x")), classes, strict=True):
                parsed: flags.Common = parse(kind, "program", "", command[3:], separator="-")
                assert parsed.run_dir == command[-2].removeprefix("--run_dir=")
