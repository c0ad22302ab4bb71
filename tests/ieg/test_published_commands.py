"""The commands that the authors print are accepted, and train."""

import json

import pytest

from tests.data.standin import write_cifar
from tests.ieg.small_runs import folder_of, run
from tests.programs import run_as_main

PUBLISHED = [
    "--dataset=cifar100_uniform_0.8 --network_name=wrn28-10",
    "--dataset=cifar100_uniform_0.2 --network_name=wrn28-10 --aug_type=randaug",
    "--dataset=cifar10_uniform_0.4 --network_name=resnet29 --probe_dataset_hold_ratio=0.002",
    "--dataset=cifar10_asymmetric_0.4 --network_name=resnet29 --probe_dataset_hold_ratio=0.002",
    "--dataset=cifar10_uniform_0.8 --network_name=wrn28-10 --probe_dataset_hold_ratio=0.0002 --method=l2r",
    "--dataset=cifar100 --method=supervised",
]


@pytest.mark.parametrize("command", PUBLISHED)
def test_published_commands_are_accepted(standins, command, tmp_path, capfd):
    arguments = [*command.split(), f"--dataset_dir={standins}", f"--checkpoint_path={tmp_path}", "--check"]
    assert run_as_main(["-m", "ieg.main"], *arguments, "--allow_unverified") == 0
    assert "-standin" in capfd.readouterr().out
    if command in (PUBLISHED[0], PUBLISHED[2]):  # one of each data set: files that are not the official ones
        assert run_as_main(["-m", "ieg.main"], *arguments) == 2
        assert "--allow_unverified" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", PUBLISHED)
def test_published_commands_train_and_evaluate(command, tmp_path):
    """As printed, but for the batch size and the number of steps, on stand-ins with a short test set."""
    for name in ("cifar10", "cifar100"):
        write_cifar(tmp_path / "data", name, train=50000, test=200)
    short = [f"--dataset_dir={tmp_path / 'data'}", "--allow_unverified", "--batch_size=4", "--max_iteration=1"]
    arguments = [*command.split(), *short, "--val_batch_size=50", f"--checkpoint_path={tmp_path / 'runs'}"]
    run(*arguments)
    result = json.loads((folder_of(tmp_path / "runs") / "result.json").read_text())
    assert result["finished"]
    assert result["dataset"]["name"].endswith("-standin")
    out, _ = run(*arguments, "--mode=evaluation")
    assert "on 200 test images" in out
