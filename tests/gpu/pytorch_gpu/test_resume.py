"""A run that is resumed on another device, or with its weights in another memory layout, goes on as if nothing was."""

import pytest

from moco_nonsem.pretraining import program as pretrain
from moco_nonsem.pretraining.trainer import Trainer as MocoTrainer
from re_sln import train_cifar
from re_sln.training.trainer import Trainer as SlnTrainer
from tests.moco_nonsem.small_runs import PATCH
from tests.programs import metrics_of, stop_in_step
from tests.re_sln.small_runs import DIGITS, MODELS

SLN = [*DIGITS, *MODELS["sln-mo"], "--n_epochs=4"]
MOCO = [*PATCH, "--epochs=3"]
ON_GPU, SLOW = pytest.mark.gpu, pytest.mark.slow
MOVES = [
    pytest.param(["--device=cpu", "--channels_last"], ["--device=cpu", "--channels_last=false"], marks=SLOW),
    pytest.param(["--device=cpu", "--channels_last=false"], ["--device=cpu", "--channels_last"], marks=SLOW),
    pytest.param(["--device=cpu"], ["--device=cuda"], marks=ON_GPU),
    pytest.param(["--device=cuda"], ["--device=cpu"], marks=ON_GPU),
    pytest.param(["--device=cpu"], ["--device=cuda", "--channels_last"], marks=ON_GPU),
]


def alike(folder, whole, name, moved):
    """Losses of each epoch: on one device only the order of additions differs, on two the kernels do."""
    tolerance = 0.01 if any("cuda" in word for word in moved) else 5e-4
    for ours, theirs in zip(metrics_of(folder), metrics_of(whole), strict=True):
        assert ours[name] == pytest.approx(theirs[name], rel=tolerance)


@pytest.mark.parametrize("first, second", MOVES)
def test_train_cifar(first, second, monkeypatch, tmp_path):
    assert train_cifar.main([*SLN, *first, f"--run_dir={tmp_path / 'whole'}"]) == 0
    stop_in_step(monkeypatch, SlnTrainer, 7)
    assert train_cifar.main([*SLN, *first, f"--run_dir={tmp_path / 'run'}"]) == 130
    assert train_cifar.main([*SLN, *second, f"--run_dir={tmp_path / 'run'}"]) == 0
    alike(tmp_path / "run", tmp_path / "whole", "loss/train_all", first + second)


def hyphens(words):
    """As moco_nonsem spells its flags; its booleans take no value."""
    return [word.replace("_last=false", "-last").replace("--channels-last", "--no-channels-last")
            if "=false" in word else word.replace("_", "-") for word in words]  # fmt: skip


@pytest.mark.parametrize("first, second", MOVES)
def test_pretraining(first, second, monkeypatch, tree, tmp_path):
    first, second = hyphens(first), hyphens(second)
    assert pretrain.main([*MOCO, *first, f"--run_dir={tmp_path / 'whole'}", str(tree)]) == 0
    stop_in_step(monkeypatch, MocoTrainer, 5)
    assert pretrain.main([*MOCO, *first, f"--run_dir={tmp_path / 'run'}", str(tree)]) == 130
    assert pretrain.main([*MOCO, *second, f"--run_dir={tmp_path / 'run'}", str(tree)]) == 0
    alike(tmp_path / "run", tmp_path / "whole", "loss/train", first + second)
