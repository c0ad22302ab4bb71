"""Paths that no machine can follow are one sentence and exit code 2 or 1, never a traceback."""

import pytest

from re_sln import results, train_cifar, tune
from tests.re_sln.small_runs import DIGITS

NOBODY = "~nobody-of-this-name/x"


@pytest.mark.parametrize(
    "main, arguments",
    [
        (train_cifar.main, [*DIGITS, f"--run_dir={NOBODY}"]),
        (train_cifar.main, [f"--resume={NOBODY}"]),
        (train_cifar.main, ["--dataset_name=cifar10", f"--data_dir={NOBODY}"]),
        (tune.main, [*DIGITS, f"--run_dir={NOBODY}"]),
        (results.main, [f"--logdir={NOBODY}"]),
    ],
)
def test_the_home_of_nobody(main, arguments, capfd):
    assert main(arguments) == 2
    assert "no home folder for ~nobody-of-this-name" in capfd.readouterr().err


def test_a_runs_folder_of_nobody(monkeypatch, capfd):
    monkeypatch.setenv("RUNS_DIR", NOBODY)
    assert train_cifar.main(DIGITS) == 2
    assert "no home folder for ~nobody-of-this-name" in capfd.readouterr().err


@pytest.mark.parametrize("flag", ["run_dir", "resume"])
def test_names_that_are_too_long(flag, tmp_path, capfd):
    assert train_cifar.main([*DIGITS, "--n_epochs=1", f"--{flag}={tmp_path / ('n' * 300)}"]) in (1, 2)
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "too long" in line
