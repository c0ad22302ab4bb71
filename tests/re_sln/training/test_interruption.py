"""Runs that were stopped and went on leave the same bits as one that was not, also while labels are corrected."""

import shutil
import signal

import pytest
import torch

from re_sln import train_cifar
from re_sln.training import checkpoint
from re_sln.training.trainer import Trainer
from tests.programs import ROOT, metrics_of, result_of, start, stop_in_step
from tests.re_sln.small_runs import DIGITS, MODELS, bits_of, left_by, wait_for

# 150 examples in batches of 64: three steps an epoch, label correction from step 7 on.
ARGUMENTS = [*DIGITS, *MODELS["sln-mo-lc"], "--lc_n_epoch=3", "--n_epochs=5", "--seed=5"]
# The program, its steps so slow that it is killed before its last one on a busy machine, too.
SLOWED = """
import sys, time
from re_sln import train_cifar
from re_sln.training.trainer import Trainer
update = Trainer.update
Trainer.update = lambda *arguments: (time.sleep(0.2), update(*arguments))
sys.exit(train_cifar.main())
"""


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch, whole):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("DATA_DIR", str(whole.parent / "data"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing interrupts."""
    base = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_DIR", str(base / "data"))
        assert train_cifar.main([*ARGUMENTS, f"--run_dir={base / 'run'}"]) == 0
    return base / "run"


def only_run(tmp_path):
    (folder,) = (tmp_path / "runs" / "re_sln").iterdir()
    return folder


def same(folder, whole):
    assert left_by(folder) == left_by(whole)
    newest = checkpoint.newest(folder)[1], checkpoint.newest(whole)[1]
    assert torch.equal(newest[0]["targets"], newest[1]["targets"])
    assert result_of(folder)["metrics"] == result_of(whole)["metrics"]
    assert result_of(folder)["best_on_test"] == result_of(whole)["best_on_test"]
    assert result_of(folder)["finished"]


# The first; within an epoch; an epoch's last; label correction's first and second; the next round's first; the last
@pytest.mark.parametrize("step", [1, 5, 6, 7, 8, 10, 15])
def test_ctrl_c_and_resume_give_the_same_bits(step, whole, tmp_path, monkeypatch, capfd):
    stop_in_step(monkeypatch, Trainer, step)
    assert train_cifar.main(ARGUMENTS) == 130
    folder = only_run(tmp_path)
    assert f"after step {step}; resume with --resume {folder.name}" in capfd.readouterr().err
    assert not result_of(folder)["finished"]
    assert not (folder / "model.pth").exists()
    assert checkpoint.FILES.steps(folder) == [step]
    assert train_cifar.main(["--resume", folder.name]) == 0
    assert f"after step {step} in {folder}" in capfd.readouterr().err
    same(folder, whole)


# Passes over images: the test of epoch 1, of 2, label correction's first scoring, the test of 3, scoring again
@pytest.mark.parametrize(
    "number, step, loader",
    [(1, 3, "device"), (2, 6, "device"), (3, 6, "device"), (4, 9, "device"), (5, 9, "device"), (3, 6, "dataloader")],
)
def test_ctrl_c_within_a_test_or_a_scoring(number, step, loader, whole, tmp_path, monkeypatch, capfd):
    """It is noticed before the next batch of images, and the pass is done again."""
    passes, look = [], Trainer.look

    def asks(self, batch):
        passes.append(batch)
        if passes.count(1) == number and batch == 1:
            signal.raise_signal(signal.SIGINT)
        look(self, batch)

    monkeypatch.setattr(Trainer, "look", asks)
    command = [*ARGUMENTS, f"--loader={loader}", f"--run_dir={tmp_path / 'run'}"]
    assert train_cifar.main(command) == 130
    assert f"after step {step}; resume" in capfd.readouterr().err
    assert passes[-2:] == [0, 1] and checkpoint.FILES.steps(tmp_path / "run") == [step]
    monkeypatch.setattr(Trainer, "look", look)
    assert train_cifar.main(command) == 0
    same(tmp_path / "run", whole)


def test_stopped_twice_and_gone_on_by_run_dir(whole, tmp_path, monkeypatch, capfd):
    command = [*ARGUMENTS, f"--run_dir={tmp_path / 'mine'}"]
    for step in (4, 11):
        stop_in_step(monkeypatch, Trainer, step)
        assert train_cifar.main(command) == 130
        assert f"--resume {tmp_path / 'mine'}" in capfd.readouterr().err
    assert train_cifar.main(command) == 0
    same(tmp_path / "mine", whole)
    assert train_cifar.main(command) == 0  # finished: nothing is done again
    assert "is finished" in capfd.readouterr().err
    same(tmp_path / "mine", whole)


def test_a_run_that_goes_on_may_read_its_images_in_another_way(whole, tmp_path, monkeypatch):
    """A last step with nothing left of its epoch, and worker processes, change no bit."""
    stop_in_step(monkeypatch, Trainer, 6)
    assert train_cifar.main([*ARGUMENTS, "--loader=dataloader", "--workers=1"]) == 130
    assert train_cifar.main(["--resume", only_run(tmp_path).name, "--loader=dataloader", "--workers=2"]) == 0
    same(only_run(tmp_path), whole)


def test_a_program_that_dies_repeats_no_line(whole, tmp_path, monkeypatch):
    """Its last checkpoint is from epoch 2, metrics.jsonl has three lines: two are cut off, and written again."""
    command, end_epoch = [*ARGUMENTS, f"--run_dir={tmp_path / 'run'}"], Trainer.end_epoch
    stop_in_step(monkeypatch, Trainer, 4)
    assert train_cifar.main(command) == 130

    def dies(self):
        if self.epoch == 4:
            raise OSError("the disk is gone")
        return end_epoch(self)

    monkeypatch.setattr(Trainer, "end_epoch", dies)
    assert train_cifar.main(command) == 1
    monkeypatch.setattr(Trainer, "end_epoch", end_epoch)
    assert checkpoint.FILES.steps(tmp_path / "run") == [4]
    assert [line["step"] for line in metrics_of(tmp_path / "run")] == [3, 6, 9]
    assert train_cifar.main(command) == 0
    same(tmp_path / "run", whole)


def test_a_program_that_dies_before_its_first_checkpoint_begins_again(whole, tmp_path, monkeypatch):
    command = [*ARGUMENTS, f"--run_dir={tmp_path / 'run'}"]

    def dies(epoch, values):
        raise OSError("the disk is gone")

    with monkeypatch.context() as dying:
        dying.setattr("re_sln.training.experiment.print_epoch", dies)
        assert train_cifar.main(command) == 1
    assert not checkpoint.FILES.steps(tmp_path / "run") and metrics_of(tmp_path / "run")
    assert train_cifar.main(command) == 0
    same(tmp_path / "run", whole)


def test_kill_9_and_a_damaged_checkpoint(whole, tmp_path, caplog):
    """A process of its own, killed at no moment in particular; its newest checkpoint is harmed in a second folder."""
    folder, copy = tmp_path / "killed", tmp_path / "harmed"
    process = start(["-c", SLOWED], *ARGUMENTS, "--loader=device", "--save_minutes=0", f"--run_dir={folder}")
    wait_for(lambda: checkpoint.FILES.steps(folder)[-1:] > [7], process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not result_of(folder)["finished"]
    kept = checkpoint.FILES.steps(folder)
    assert len(kept) in (2, 3)
    shutil.copytree(folder, copy)
    assert train_cifar.main([*ARGUMENTS, f"--run_dir={folder}"]) == 0
    same(folder, whole)
    newest = copy / f"checkpoint_{kept[-1]:08d}.pt"
    newest.write_bytes(newest.read_bytes()[:-1000])
    caplog.clear()
    assert train_cifar.main([*ARGUMENTS, f"--run_dir={copy}"]) == 0
    same(copy, whole)


def test_ctrl_c_in_a_process_started_from_inside_the_folder(tmp_path):
    process = start(
        ["train_cifar.py"],
        *DIGITS,
        "--sigma=0",
        "--n_epochs=100000",
        f"--run_dir={tmp_path / 'run'}",
        cwd=ROOT / "re_sln",
    )
    wait_for(lambda: (tmp_path / "run" / "metrics.jsonl").exists() and metrics_of(tmp_path / "run"), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"resume with --resume {tmp_path / 'run'}" in err
    assert "Traceback" not in err
    assert not result_of(tmp_path / "run")["finished"]
    assert checkpoint.newest(tmp_path / "run")[1]["step"] >= 3


def test_ctrl_c_while_custom_noise_is_made(tmp_path, monkeypatch, capfd):
    """No run has begun, so there is nothing to go on with, and no file is left half made."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    stop_in_step(monkeypatch, Trainer, 2)
    assert train_cifar.main([*ARGUMENTS, "--noise_mode=dependent", "--dependent_epochs=2"]) == 130
    err = capfd.readouterr().err
    assert "Traceback" not in err and "stopped" in err
    assert not list((tmp_path / "data").rglob("*.csv"))
    assert not (tmp_path / "runs").exists()


def test_the_reference_run_is_no_trivial_one(whole):
    assert [line["step"] for line in metrics_of(whole)] == [3, 6, 9, 12, 15]
    assert checkpoint.newest(whole)[1]["targets"] is not None
    assert bits_of(whole / "model.pth") != bits_of(whole / "model_ema.pth")
