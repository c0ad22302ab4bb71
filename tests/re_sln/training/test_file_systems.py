"""Training on file systems that are not ext4: case 17, 18, 19, full disks."""

import errno

import pytest

from re_sln import train_cifar, tune
from tests.file_systems import check_full_disk, full_after, read_only, without_locks, without_sync_of_folders
from tests.programs import result_of
from tests.re_sln.small_runs import DIGITS, MODELS

RUN = [*DIGITS, *MODELS["sln-mo"], "--n_epochs=1", "--p=0"]


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def test_a_run_without_locks_and_without_fsync_of_folders_is_whole(tmp_path, monkeypatch, capfd):
    calls = [without_locks(monkeypatch, errno.ENOLCK), without_sync_of_folders(monkeypatch)]
    assert train_cifar.main([*RUN, f"--run_dir={tmp_path / 'run'}"]) == 0
    assert result_of(tmp_path / "run")["finished"]
    assert all(calls)
    err = capfd.readouterr().err
    assert err.count("has no locks") == 1 and "error" not in err


@pytest.mark.parametrize("program", [train_cifar, tune], ids=["train_cifar", "tune"])
def test_a_read_only_place_is_refused_before_data_are_read(program, tmp_path, monkeypatch, capfd):
    read_only(monkeypatch, tmp_path)
    monkeypatch.setattr("re_sln.datasets.load.load", None)
    assert program.main([*DIGITS, "--p=0"]) == 2
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert line.startswith(f"error: {tmp_path}: Permission denied")
    assert line.endswith("name another place with --run_dir or RUNS_DIR")


@pytest.mark.parametrize("call", [1, 6, 9])
def test_a_disk_that_is_full_at_any_write_ends_in_one_sentence_and_loses_nothing(call, tmp_path, monkeypatch, capfd):
    words = [*RUN, "--n_epochs=2", f"--run_dir={tmp_path / 'run'}"]
    with monkeypatch.context() as patch:
        full_after(patch, call, errno.EDQUOT)
        assert train_cifar.main(words) == 1
    (line,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error")]
    assert "the disk is full (Disk quota exceeded)" in line and "--run_dir or RUNS_DIR" in line
    assert not list((tmp_path / "run").glob(".*.tmp"))
    assert train_cifar.main(words) == 0
    assert result_of(tmp_path / "run")["finished"]


@pytest.mark.slow
def test_a_disk_of_half_a_megabyte(tmp_path):
    words = ["re_sln.train_cifar", *RUN, f"--run_dir={tmp_path / 'disk' / 'run'}"]
    check_full_disk(tmp_path / "disk", "512k", " ".join(words))
