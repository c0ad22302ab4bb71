"""The user's environment reaches neither the numbers nor the end of a run. Case 21, 22; the whole of it at once."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from common.environment import settle
from tests.hostile_environment import hostile
from tests.moco_nonsem.small_runs import PATCH
from tests.programs import ROOT, result_of, start

WORDS = [*PATCH, "--epochs=1", "--workers=1"]
DIGITS = ["--dataset_name=digits", "--image_size=8", "--network=wrn-10-1", "--limit_train_examples=150", "--n_epochs=1"]


@pytest.mark.slow
def test_in_a_hostile_environment_the_numbers_are_the_same(tree, tmp_path):
    """With a reading process, whose sockets lie in TMPDIR."""
    calm = start(["-m", "moco_nonsem.moco-non-sem-neg"], *WORDS, f"--run_dir={tmp_path / 'calm'}", str(tree))
    _, err = calm.communicate()
    assert calm.returncode == 0, err[-3000:]
    environment = hostile(tmp_path / "e") | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "moco_nonsem.moco-non-sem-neg", *WORDS, f"--run_dir={tmp_path / 'other'}", str(tree)],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "variables without effect here: " in done.stderr  # RANK alone silences nobody
    same = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("calm", "other")]
    assert same[0] == same[1]
    assert result_of(tmp_path / "other")["git"] == result_of(tmp_path / "calm")["git"]


def in_container(*command):
    """The command as a user without an entry in passwd, as docker --user makes one; skipped without the right to."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become such a user")
    words = ["env", "-u", "HOME", "-u", "USER", "-u", "LOGNAME", "setpriv", "--reuid", "12345", "--regid", "12345",
             "--clear-groups", *command]  # fmt: skip
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True)


def test_a_user_without_an_entry_can_import_torchvision():
    program = "from common.environment import settle; settle(); import torchvision; print('imported')"
    done = in_container(sys.executable, "-c", program)
    if "Permission denied" in done.stderr:
        pytest.skip("this user may not read the environment")
    assert done.stdout == "imported\n", done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize("module", ["moco_nonsem.moco-non-sem-neg", "re_sln.train_cifar"])
def test_a_user_without_an_entry_trains(tree, module):
    with tempfile.TemporaryDirectory(dir="/tmp") as made:  # pytest's own folders are closed to other users
        place = Path(made)
        place.chmod(0o777)
        shutil.copytree(tree, place / "tree")
        (place / "tree").chmod(0o755)
        words = [*WORDS, str(place / "tree")] if module.startswith("moco") else [*DIGITS, "--p=0"]
        done = in_container(sys.executable, "-m", module, *words, f"--run_dir={place / 'run'}")
        assert done.returncode == 0, done.stderr[-3000:]
        assert result_of(place / "run")["finished"]


@pytest.mark.slow
def test_a_search_starts_ray_with_a_long_tmpdir(tmp_path):
    long = tmp_path / ("t" * 40)
    long.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "re_sln.tune", *DIGITS, "--sigmas=0.5", f"--run_dir={tmp_path / 'run'}"],
        cwd=ROOT, env={**os.environ, "TMPDIR": str(long), "DATA_DIR": str(tmp_path / "data")},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "did not start" not in done.stderr


def test_settling_twice_is_settling_once(monkeypatch):
    settle()
    before = dict(os.environ)
    settle()
    assert dict(os.environ) == before
