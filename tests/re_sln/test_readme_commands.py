"""Every command that the README prints runs as printed: here on small stand-ins and for an epoch or two."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT, result_of
from tests.re_sln.stand_ins import write_all

TEXT = (ROOT / "re_sln" / "README.md").read_text(encoding="utf-8")
COMMANDS = [line.split(" #")[0].strip() for line in TEXT.splitlines() if re.match(r"(python|torchrun) .*\.py", line)]
TRAINING = [command for command in COMMANDS if command.startswith(("python train_cifar.py", "python train_real.py"))]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_all(folder)
    return folder


def shortened(command: str, network: str | None = "wrn-10-1") -> list[str]:
    """The words of a command with fewer epochs at the end: the last of equal flags counts."""
    words = shlex.split(command)
    corrects = re.search(r"--lc_n_epoch (\d+)", command)
    words += ["--n_epochs", "2", "--lc_n_epoch", "1"] if corrects else ["--n_epochs", "1"]
    if "train_cifar" in command or "tune" in command:
        words += ["--allow_unverified", "--limit_train_examples", "160"]
    if "dependent --p 0.4 --custom" in command:
        words += ["--dependent_epochs", "1"]
    if network and "clothing" not in command:
        words += ["--network", network]
    return words


def record_below(runs_dir: Path) -> dict:
    (folder,) = (runs_dir / "re_sln").glob("exp_*")
    return result_of(folder)


def test_the_readme_prints_what_the_rerun_printed() -> None:
    assert len(TRAINING) >= 10
    programs = {re.search(r"(\w+)\.py", command)[1] for command in COMMANDS}  # type: ignore[index]
    assert programs == {"train_cifar", "train_real", "train_clothing1m", "tune", "viz", "plot", "results"}


@pytest.mark.parametrize("command", TRAINING)
def test_a_training_command(command: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    monkeypatch.setenv("RUNS_DIR", str(tmp_path))
    _, program, *arguments = shortened(command)
    assert importlib.import_module(f"re_sln.{Path(program).stem}").main(arguments) == 0
    result = record_below(tmp_path)
    assert result["finished"]
    assert result["notes"]["model"] == {"": "sln", " --mo": "sln-mo", " --mo --lc": "sln-mo-lc", "0": "ce"}[
        "0" if "--sigma 0 " in command else
        " --mo --lc" if re.search(r"--lc_n_epoch \d", command) else " --mo" if "--mo" in command else ""
    ]  # fmt: skip
    assert ("shortened" in result["notes"]) == ("train_cifar" in command)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_from_inside_the_folder(command: str, data_dir: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "DATA_DIR": str(data_dir), "RUNS_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}

    def run(words: list[str]) -> subprocess.CompletedProcess[str]:
        start = {"python": [sys.executable], "torchrun": [sys.executable, "-m", "torch.distributed.run"]}
        words = [*start[words[0]], *words[1:]]
        return subprocess.run(words, cwd=ROOT / "re_sln", env=environment, capture_output=True, text=True)

    if "plot.py" in command:
        assert run(shortened(TRAINING[0])).returncode == 0
        (folder,) = (tmp_path / "re_sln").glob("exp_*")
        words = shlex.split(command.replace("exp_…", folder.name)) + [
            "--allow_unverified",
            "--out",
            str(tmp_path / "plot.png"),
        ]
    elif "viz.py" in command:
        words = shlex.split(command) + ["--allow_unverified", "--out", str(tmp_path / "viz.png")]
    elif "results.py" in command:
        assert run(shortened(TRAINING[0])).returncode == 0
        words = shlex.split(command) + ["--out", str(tmp_path / "results")]
    else:
        words = shortened(command, network=None if "tune" not in command else "wrn-10-1")
    if "clothing" in command:
        words += ["--weights", "none"]
    if "torchrun" in command:
        words = [word if word != "4" else "2" for word in words]
    done = run(words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Traceback" not in done.stderr
