"""Weights that users bring: what is read, and one sentence for what is not. Cases 11 and 12."""

import argparse

import numpy as np
import pytest
import torch

from moco_nonsem import eval_robustness, main_lincls
from moco_nonsem.linear_probe.network import LinearNetwork
from moco_nonsem.model.encoder import build_encoder
from moco_nonsem.pretraining import program as pretrain_program
from tests.moco_nonsem.small_runs import LINEAR, PATCH
from tests.programs import result_of

ARCH = "resnet10-small"


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setattr("moco_nonsem.running.run_folder.repo_root", lambda: tmp_path / "root")


def encoder(below="module.encoder_q."):
    return {below + name: value for name, value in build_encoder(ARCH, 8, True, 0).state_dict().items()}


def line_of(capfd):
    err = capfd.readouterr().err
    assert "Traceback" not in err and "\x1b" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    return line


def linear(path, tree, *more):
    return main_lincls.main([*LINEAR, "--epochs=1", f"--pretrained={path}", *more, str(tree)])


def test_numbers_of_numpy_beside_the_weights_are_read(tree, tmp_path):
    content = {"state_dict": encoder(), "epoch": np.int64(200), "best_acc1": np.float32(67.5)}
    torch.save(content, tmp_path / "a.pth.tar")
    assert linear(tmp_path / "a.pth.tar", tree, f"--run_dir={tmp_path / 'run'}") == 0
    assert result_of(tmp_path / "run")["finished"]


def test_an_object_beside_the_weights_is_named(tree, tmp_path, capfd):
    torch.save({"state_dict": encoder(), "args": argparse.Namespace(lr=0.03)}, tmp_path / "a.pth.tar")
    assert linear(tmp_path / "a.pth.tar", tree) == 2
    line = line_of(capfd)
    assert line.startswith("error: --pretrained ") and "argparse.Namespace" in line and "save a plain copy" in line


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_found_when_loading(tree, tmp_path, capfd, value):
    weights = encoder()
    for name in list(weights)[:5:2]:
        weights[name] = weights[name].float() * value
    torch.save({"state_dict": weights}, tmp_path / "a.pth.tar")
    assert linear(tmp_path / "a.pth.tar", tree) == 2
    line = line_of(capfd)
    assert line.startswith(f"error: --pretrained={tmp_path / 'a.pth.tar'}: 3 of its ") and "are not finite" in line
    assert "--lr" not in line and not (tmp_path / "runs").exists()


def test_not_finite_is_found_by_every_program(tree, tmp_path, capfd):
    network = LinearNetwork(ARCH, 0)
    network.classifier.bias.data[3] = float("nan")
    state = {"state_dict": network.state(), "epoch": 1, "optimizer": {}}
    torch.save(state, tmp_path / "a.pth.tar")
    path = str(tmp_path / "a.pth.tar")
    assert eval_robustness.main([path, f"--arch={ARCH}", "--image-size=16", f"--val={tree / 'val'}"]) == 2
    assert "1 of its" in line_of(capfd)
    assert main_lincls.main([*LINEAR, f"--resume={path}", "--evaluate", str(tree)]) == 2
    assert "1 of its" in line_of(capfd)
    assert pretrain_program.main([*PATCH, f"--resume={path}", str(tree)]) == 2
    assert "1 of its" in line_of(capfd)


def test_a_simsiam_file_is_a_short_list(tree, tmp_path, capfd):
    weights = encoder("module.encoder.") | {"module.predictor.0.weight": torch.ones(2, 2)}
    torch.save({"state_dict": weights, "epoch": 3, "arch": ARCH, "optimizer": {}}, tmp_path / "a.pth.tar")
    assert pretrain_program.main([*PATCH, f"--resume={tmp_path / 'a.pth.tar'}", str(tree)]) == 2
    line = line_of(capfd)
    assert "it lacks queue, queue_ptr, encoder_q." in line and "it has besides encoder." in line
    assert line.count(" in all)") == 2 and len(line) < 700


def test_another_architecture_is_a_short_list(tree, tmp_path, capfd):
    weights = {f"module.encoder_q.{name}": value for name, value in LinearNetwork("resnet18", 0).state().items()}
    torch.save({"state_dict": weights}, tmp_path / "a.pth.tar")
    assert linear(tmp_path / "a.pth.tar", tree) == 2
    line = line_of(capfd)
    assert "give the one it was trained with" in line and " in all)" in line and len(line) < 800
