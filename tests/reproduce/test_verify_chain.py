"""A real chain of moco_nonsem, pre-training, classifier, scores: it stands, and each way of tampering is caught."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.records.record_files import read_result
from common.records.result_schema import seal
from reproduce.cells import ROOT
from reproduce.cli import main
from reproduce.engines.commands import python_of
from reproduce.verify import verify

PYTHON = python_of("pytorch")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not (ROOT / PYTHON).exists(), reason="make env-pytorch builds the environment of moco_nonsem"),
]
SMALL = "--arch=resnet10-small --image-size=16 --workers=0 --batch-size=8 --seed=0"
STAGES = {
    "pretrain": f"moco_nonsem.moco-non-sem-neg {{data}} {SMALL} --epochs=1 --moco-k=16 --moco-dim=8 --mlp --aug-plus"
    " --lr=0.03 --robust=none",
    "lincls": f"moco_nonsem.main_lincls {{data}} {SMALL} --epochs=1 --lr=0.1"
    " --pretrained={runs}/pretrain/checkpoint_0000.pth.tar",
    "eval": f"moco_nonsem.eval_robustness {{runs}}/lincls/checkpoint_robust_0000.pth.tar {SMALL} --val={{data}}/val"
    " --sketch={data}/sketch",
}
MOVE = """
import sys, torch
content = torch.load(sys.argv[1], weights_only=True)
for tensor in content["state_dict"].values():
    if tensor.is_floating_point():
        tensor.add_(torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)))
torch.save(content, sys.argv[1])
"""


def shell(*words: str) -> None:
    subprocess.run([PYTHON, *words], cwd=ROOT, check=True, capture_output=True, text=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """data/ and runs/, each record as its program left it."""
    import numpy as np
    from PIL import Image

    place, rng = tmp_path_factory.mktemp("chain"), np.random.default_rng(0)
    for name in ("n01", "n02", "n03"):
        pattern = rng.integers(0, 256, (4, 4, 3))
        for part, count in {"train": 9, "val": 8, "sketch": 4}.items():
            (place / "data" / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.kron(pattern, np.ones((6, 6, 1))) + rng.normal(0, 60, (24, 24, 3))
                image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
                image.save(place / "data" / part / name / f"{number}.png")
    for stage, words in STAGES.items():
        words = words.format(data=place / "data", runs=place / "runs")
        shell("-m", *words.split(), f"--run_dir={place / 'runs' / stage}")
    return place


@pytest.fixture
def scored(made: Path, tmp_path: Path) -> Path:
    """A copy of the scores' record, whose command still names the checkpoint and the data."""
    return shutil.copytree(made / "runs" / "eval", tmp_path / "eval")


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """By hand, and hidden as well as one can in the record itself."""
    result = read_result(folder)
    change(result)
    (folder / "result.json").write_text(json.dumps(result | {"seal": seal(result)}))


def test_the_chain_stands(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(made / "runs")]) == 0
    output = capsys.readouterr()
    assert "3 of 3 records verified" in output.err
    assert f"verified: {made / 'runs' / 'eval'}\n" in output.out  # and not only its record
    assert output.out.count("record consistent (not re-scored): ") == 2
    assert "not scored again: its classifier is scored by the stage after it" in output.out


def test_a_value_that_was_changed_everywhere_is_caught(scored: Path) -> None:
    metrics = read_result(scored)["metrics"]
    edit(scored, lambda result: result["metrics"].update({"in100": 0.987, "sketch": 0.987}))
    (line,) = (scored / "metrics.jsonl").read_text().splitlines()
    (scored / "metrics.jsonl").write_text(json.dumps(json.loads(line) | {"in100": 0.987, "sketch": 0.987}) + "\n")
    assert verify(scored, None, records_only=True).problems == []
    assert sorted(verify(scored, None).problems) == [
        f"{name} = 0.987, but scored again it is {metrics[name]}" for name in ("in100", "sketch")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["git"].update(commit="1" * 40), "is not in this repository"),
        (lambda r: r["dataset"].update(fingerprint="e" * 64), "data fingerprint 'eee"),
    ],
    ids=["commit", "fingerprint"],
)
def test_a_record_that_was_changed_is_caught(
    scored: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    edit(scored, change)
    (problem,) = verify(scored, None).problems
    assert message in problem


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    """The whole of it elsewhere, the records' commands with it."""
    place = shutil.copytree(made, tmp_path / "moved")
    for path in (place / "runs").rglob("result.json"):
        edit(
            path.parent,
            lambda result: result.update(command=[word.replace(str(made), str(place)) for word in result["command"]]),
        )
    return place


def test_other_data_are_caught(moved: Path) -> None:
    next((moved / "data" / "val" / "n02").glob("*.png")).unlink()
    assert any("data fingerprint" in problem for problem in verify(moved / "runs" / "eval", None).problems)


def test_another_classifier_is_caught(moved: Path) -> None:
    path = moved / "runs" / "lincls" / "checkpoint_robust_0000.pth.tar"
    shell("-c", MOVE, str(path))
    # Its scores may even be the same on so few images: the file's fingerprint tells.
    assert f"{path} is not the checkpoint that it was scored with" in verify(moved / "runs" / "eval", None).problems


def test_another_encoder_is_caught(moved: Path) -> None:
    path = moved / "runs" / "pretrain" / "checkpoint_0000.pth.tar"
    shell("-c", MOVE, str(path))
    assert verify(moved / "runs" / "lincls", None).problems == [f"{path} is not the checkpoint that it was trained on"]
    path.unlink()
    found = verify(moved / "runs" / "lincls", None)
    assert found.problems == [] and f"{path}, which it was trained on, is not here" in found.remarks
