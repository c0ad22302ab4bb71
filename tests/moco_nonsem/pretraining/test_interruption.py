"""Runs that were stopped and went on leave the same bits as one that was not, queue included."""

import shutil

import pytest

from common.pytorch.torch_files import read_tensors
from moco_nonsem.pretraining import program as pretrain_program
from moco_nonsem.pretraining.trainer import Trainer
from moco_nonsem.running import checkpoint
from tests.moco_nonsem.small_runs import PATCH, assert_same_bits
from tests.programs import metrics_of, result_of, stop_in_step

# Three steps an epoch; the queue of 16 comes round every two.
EPOCHS, LAST = 3, 9
RUN = [*PATCH, f"--epochs={EPOCHS}", "--save-freq=2", "--seed=5", "--knn-every=2"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tree):
    """The run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert pretrain_program.main([*RUN, f"--run_dir={folder}", str(tree)]) == 0
    return folder


def same(folder, whole):
    assert (folder / "metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    assert (folder / "config.yml").read_text() == (whole / "config.yml").read_text()
    names = sorted(path.name for path in whole.glob("checkpoint_*"))
    assert sorted(path.name for path in folder.glob("checkpoint_*")) == names
    for name in names:
        assert_same_bits(read_tensors(folder / name), read_tensors(whole / name))
    assert result_of(folder)["metrics"] == result_of(whole)["metrics"] and result_of(folder)["finished"]


def test_the_run_that_is_compared_is_no_trivial_one(whole):
    assert [path.name for path in sorted(whole.glob("checkpoint_*"))] == [
        "checkpoint_0001.pth.tar",
        "checkpoint_0002.pth.tar",
    ]
    first, last = (read_tensors(whole / f"checkpoint_000{number}.pth.tar") for number in (1, 2))
    assert [first["epoch"], last["epoch"]] == [2, 3]
    assert first["state_dict"]["module.queue_ptr"].item() == 0 and last["state_dict"]["module.queue_ptr"].item() == 8
    for name in ("module.encoder_q.conv1.weight", "module.encoder_k.conv1.weight", "module.queue"):
        assert not first["state_dict"][name].equal(last["state_dict"][name])
    lines = metrics_of(whole)
    assert [(line["step"], line["epoch"]) for line in lines] == [(3, 0), (6, 1), (9, 2)]
    assert ["accuracy/neighbours" in line for line in lines] == [False, True, True]
    assert result_of(whole)["metrics"]["loss/train"] == lines[-1]["loss/train"]


# In an epoch; an epoch's last; the last of all, after which there is nothing but its metrics.
@pytest.mark.parametrize("step", [4, 6, 9])
def test_ctrl_c_and_resume_give_the_same_bits(step, whole, tree, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    stop_in_step(monkeypatch, Trainer, step)
    command = [*RUN, f"--ckpt_path={tmp_path / 'ckpts'}", str(tree)]
    assert pretrain_program.main(command) == 130
    (folder,) = (tmp_path / "runs" / "moco_nonsem").iterdir()
    assert f"after step {step}; run the same command with --resume {folder} to resume" in capfd.readouterr().err
    assert not result_of(folder)["finished"] and checkpoint.FILES.steps(folder) == [step]
    assert pretrain_program.main([*command, "--resume", str(folder)]) == 0
    for path in (tmp_path / "ckpts").iterdir():
        shutil.copy(path, folder)
    same(folder, whole)


def test_a_damaged_state_and_a_program_that_fails(whole, tree, tmp_path, monkeypatch, capfd):
    """Every step is saved; the newest state is harmed; the same command goes on from the one before."""
    command = [*RUN, f"--run_dir={tmp_path / 'run'}", "--save-minutes=0", str(tree)]
    stop_in_step(monkeypatch, Trainer, 8, OSError("the disk is gone"))
    assert pretrain_program.main(command) == 1
    assert "error: the disk is gone" in capfd.readouterr().err
    assert checkpoint.FILES.steps(tmp_path / "run") == [6, 7]
    newest = tmp_path / "run" / "state_00000007.pth.tar"
    newest.write_bytes(newest.read_bytes()[:-1000])
    assert pretrain_program.main(command) == 0
    assert "going back to the one before" in capfd.readouterr().err
    same(tmp_path / "run", whole)
    assert pretrain_program.main(command) == 0  # finished: nothing is done again
    assert "is finished" in capfd.readouterr().err


def test_another_configuration_does_not_go_on(whole, tree, tmp_path, capfd):
    copy = tmp_path / "run"
    shutil.copytree(whole, copy)
    (copy / "result.json").unlink()
    assert pretrain_program.main([*RUN, "--alpha=3", f"--run_dir={copy}", str(tree)]) == 2
    assert "another configuration (alpha: 2.0 there, 3.0 here)" in capfd.readouterr().err


def test_same_seed_same_numbers_other_seed_other_numbers(whole, tree, tmp_path):
    """Reading in worker processes changes no bit; the seed changes the first epoch already."""
    one = [*RUN, "--epochs=1", "--save-freq=1"]
    for name, more in {"again": ["--workers=2"], "other": ["--seed=6"]}.items():
        assert pretrain_program.main([*one, *more, f"--run_dir={tmp_path / name}", str(tree)]) == 0
    first = {name: value for name, value in metrics_of(whole)[0].items()}
    again, other = (metrics_of(tmp_path / name)[0] for name in ("again", "other"))
    again.pop("accuracy/neighbours")
    assert again == first
    assert other["loss/train"] != first["loss/train"] and other["similarity/key"] != first["similarity/key"]


def test_a_run_that_began_with_a_file_is_resumed_by_the_same_command(whole, tree, tmp_path, monkeypatch, capfd):
    """A scheduler gives a preempted job's command again."""
    given = f"--resume={whole / 'checkpoint_0001.pth.tar'}"
    command = [*RUN, given, f"--run_dir={tmp_path / 'run'}", str(tree)]
    stop_in_step(monkeypatch, Trainer, 8)
    assert pretrain_program.main(command) == 130
    capfd.readouterr()
    assert pretrain_program.main(command) == 0
    said = capfd.readouterr().err
    assert "state_00000008.pth.tar is this run's own, later than --resume=" in said and "epoch 2, step 8" in said
    assert_same_bits(*(read_tensors(path / "checkpoint_0002.pth.tar") for path in (tmp_path / "run", whole)))


def test_momentum_and_weight_decay_are_the_flags(whole, tree, tmp_path):
    given = [f"--resume={whole / 'checkpoint_0001.pth.tar'}", "--wd=0.5", "--momentum=0.1"]
    assert pretrain_program.main([*RUN, *given, f"--run_dir={tmp_path / 'run'}", str(tree)]) == 0
    (group,) = read_tensors(tmp_path / "run" / "checkpoint_0002.pth.tar")["optimizer"]["param_groups"]
    assert (group["weight_decay"], group["momentum"]) == (0.5, 0.1)


def test_the_folders_of_two_runs_are_refused(whole, tree, tmp_path, capfd):
    command = [*RUN, f"--resume={whole}", f"--run_dir={tmp_path / 'run'}", str(tree)]
    assert pretrain_program.main(command) == 2
    assert "are folders of two runs: leave one out" in capfd.readouterr().err
