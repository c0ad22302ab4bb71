"""The authors' recipes: as scripts, as cells of the tables, and started from anywhere."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ieg.settings.flags import parse_flags
from preprocess.webvision_mini import main as prepare
from reproduce.cells import load_tables
from tests.ieg.photographs import image_tree, webvision_tree
from tests.ieg.small_runs import folder_of, run
from tests.programs import run_as_main

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {  # a script, and the cell that it is
    "run_fsr_cifar_longtail.sh": "fsr-longtail-cifar10-fsr-0.02",
    "run_fsr_cifar_longtail_noise.sh": "fsr-longtail-noise-fsr-0.2",
    "run_fsr_webvision.sh": "fsr-webvision-fsr-webvision_top1",
}


def run_script(name, *arguments, folder, code=0, python=sys.executable):
    done = subprocess.run(
        [ROOT / "ieg" / "scripts" / name, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHON": str(python), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout, done.stderr


def words_of(cell):
    """The flags of a cell's command, without where it goes and its seed."""
    cells = {cell.id: cell for table in load_tables().values() for cell in table.cells}
    words = cells[cell].commands(0, Path("x"))[-1]
    return [word for word in words if word.startswith("--") and not word.startswith(("--seed", "--checkpoint_path"))]


def flags_of(script):
    """The flags a script gives, as it spells them."""
    text = (ROOT / "ieg" / "scripts" / script).read_text().replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if line.startswith("exec ")]
    return [word for word in line.split() if word.startswith("--")]


@pytest.fixture(scope="module")
def webvision(tmp_path_factory):
    base = tmp_path_factory.mktemp("webvision")
    webvision_tree(base / "data", 2)
    image_tree(base / "imagenet", ("train", "val"), 1, first=200)
    assert prepare(["--dataset_dir", str(base / "data"), "--imagenet_path", str(base / "imagenet"),
                    "--probes_per_class", "1"]) == 0  # fmt: skip
    return base / "data"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_is_the_command_of_its_cell(script):
    assert parse_flags(flags_of(script)) == parse_flags(words_of(SCRIPTS[script]))


def test_no_two_flags_are_glued_together():
    for script in SCRIPTS:
        for word in flags_of(script):
            assert re.fullmatch(r"--\w+(=(?!.*--)[\w.,-]*)?", word), word


@pytest.mark.parametrize("script", ["run_fsr_cifar_longtail.sh", "run_fsr_cifar_longtail_noise.sh"])
def test_the_long_tail_scripts_run_from_anywhere_and_later_flags_win(script, standins, tmp_path, capfd):
    """What they start is run in this process."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    arguments = [f"--dataset_dir={standins}", "--allow_unverified", "--check"]
    out, _ = run_script(script, *arguments, "--seed=7", folder=tmp_path, python=python)
    file, *words = out.splitlines()
    assert Path(file) == ROOT / "ieg" / "main.py"  # a file that starts by itself, see test_main.py
    assert run_as_main(["-m", "ieg.main"], *words, cwd=tmp_path) == 0
    out = capfd.readouterr().out
    assert "resolved_num_train: 13996" in out
    assert "resolved_last_step: 21800" in out
    assert "seed: 7" in out


@pytest.mark.slow
@pytest.mark.parametrize("script", ["run_fsr_cifar_longtail.sh", "run_fsr_cifar_longtail_noise.sh"])
def test_the_long_tail_scripts_train(script, standins, tmp_path):
    short = ["--max_epoch=1", "--decay_epochs=1", "--batch_size=4000", "--queue_capacity=100", "--queue_bs=20"]
    arguments = [f"--dataset_dir={standins}", "--allow_unverified", f"--checkpoint_path={tmp_path}"]
    run_script(script, *arguments, *short, folder=tmp_path)
    result = json.loads((folder_of(tmp_path) / "result.json").read_text())
    assert result["finished"]
    assert result["dataset"]["name"].endswith("_imbal_0.02")
    assert (result["notes"]["noise_rate"] > 0.1) == ("noise" in script)
    assert result["notes"]["probe_images"] == 0


@pytest.mark.slow
def test_the_webvision_script_trains(webvision, tmp_path):
    short = ["--batch_size=20", "--max_iteration=3", "--image_size=32", "--queue_capacity=100", "--queue_bs=50"]
    run_script(
        "run_fsr_webvision.sh",
        f"--dataset_dir={webvision}",
        f"--checkpoint_path={tmp_path}",
        *short,
        "--warmup_epochs=0",
        folder=tmp_path,
    )
    result = json.loads((folder_of(tmp_path) / "result.json").read_text())
    assert result["finished"]
    assert {"webvision_top1", "imagenet_top1"} <= result["metrics"].keys()


@pytest.mark.slow
def test_the_command_of_ieg_on_webvision_trains(webvision, tmp_path):
    short = ["--dataset=webvisionmini_1", "--batch_size=4", "--max_iteration=1", "--image_size=32"]
    words = words_of("ieg-webvision-ieg-webvision_top1")
    run(*words, *short, f"--dataset_dir={webvision}", f"--checkpoint_path={tmp_path}")
    result = json.loads((folder_of(tmp_path) / "result.json").read_text())
    assert result["finished"]
    assert {"webvision_top1", "imagenet_top1"} <= result["metrics"].keys()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("cell", ["fsr-cifar10-fsr-0.8", "fsr-longtail-cifar10-fsr-0.1"])
def test_commands_of_fsr_train(cell, standins, tmp_path):
    short = ["--max_iteration=1", "--batch_size=4", "--queue_capacity=20", "--queue_bs=10", "--val_batch_size=50"]
    if "longtail" in cell:
        short += ["--max_epoch=1", "--decay_epochs=1", "--batch_size=5000"]
    data = [f"--dataset_dir={standins}", "--allow_unverified", f"--checkpoint_path={tmp_path}"]
    run(*words_of(cell), *data, *short)
    assert json.loads((folder_of(tmp_path) / "result.json").read_text())["finished"]
