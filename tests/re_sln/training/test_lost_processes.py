"""A process that reads images, and a trial's, that are killed; shared memory that is too small for them."""

import os
import signal
from types import SimpleNamespace

import pytest

from common.pytorch import readers
from re_sln import train_cifar
from re_sln.images.loader_images import _Cut
from re_sln.search import ray_trials
from re_sln.search.search import parse_search, resolve_search
from tests.programs import result_of
from tests.re_sln.small_runs import DIGITS

WITH_READERS = [*DIGITS, "--sigma=0", "--n_epochs=3", "--loader=dataloader", "--workers=2"]


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


def kill_in_epoch(monkeypatch, number, marked):
    """One reader is killed in that epoch, which begins when `marked` is there so often."""
    original = _Cut.__getitem__

    def cut(self, item):
        if item[0] == 7 and len(list(marked.glob("checkpoint_*"))) >= number and not (marked / "killed").exists():
            (marked / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, item)

    monkeypatch.setattr(_Cut, "__getitem__", cut)


def test_a_reader_that_is_killed_ends_the_run_in_a_sentence_and_the_same_command_resumes_it(
    tmp_path, monkeypatch, capfd
):
    command = [*WITH_READERS, "--save_minutes=0", f"--run_dir={tmp_path / 'run'}"]
    kill_in_epoch(monkeypatch, 1, tmp_path / "run")
    assert train_cifar.main(command) == 1
    error = capfd.readouterr().err
    assert "error: a process that reads images was killed, perhaps for lack of memory; the same command" in error
    assert "Traceback" not in error and not result_of(tmp_path / "run")["finished"]
    assert train_cifar.main(command) == 0
    assert "resuming in epoch" in capfd.readouterr().err
    assert result_of(tmp_path / "run")["finished"]


def test_shared_memory_that_is_too_small_is_found_before_training(tmp_path, monkeypatch, capfd):
    need = 64 * 8 * 8 * 3 * (2 * 2 + 1)
    monkeypatch.setattr(readers.os, "statvfs", lambda _: SimpleNamespace(f_frsize=1, f_blocks=need, f_bavail=need - 1))
    assert train_cifar.main([*WITH_READERS, f"--run_dir={tmp_path / 'run'}"]) == 1
    error = capfd.readouterr().err
    assert "error: /dev/shm has 0 MB free, and 2 reading processes need" in error and "--workers=0" in error
    assert "Traceback" not in error


def test_a_trial_whose_reader_is_killed_says_so_in_a_sentence(tmp_path, monkeypatch):
    words = [*WITH_READERS, "--sigmas=0.5", f"--run_dir={tmp_path / 'run'}"]
    search = resolve_search(parse_search([word for word in words if word != "--sigma=0"]))
    folder = search.trial_folder("0.5")
    folder.mkdir(parents=True)
    kill_in_epoch(monkeypatch, 0, folder)
    with pytest.raises((readers.ProcessLost, RuntimeError)):  # torch's own, where it is raised in a step
        ray_trials._work(search, "0.5", ["x"], ray_trials.Room(1, 0), lambda result: None)
    assert ray_trials._reason(search, "0.5").startswith("σ = 0.5: a process that reads images was killed")
