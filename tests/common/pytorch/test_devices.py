"""A GPU that torch counts, and cannot use: an old driver, say."""

import pytest
import torch

from common.errors import UsageError
from common.pytorch.devices import usable_gpus
from moco_nonsem.pretraining import program as pretrain
from re_sln import train_cifar
from tests.moco_nonsem.small_runs import SMALL, make_tree
from tests.programs import result_of
from tests.re_sln.small_runs import DIGITS, MODELS

OLD = "The NVIDIA driver on your system is too old (found version 12040)."


@pytest.fixture
def old_driver(monkeypatch):
    def init():
        raise RuntimeError(OLD)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr("common.pytorch.gpu.driver_version", lambda: "550.54.15")
    monkeypatch.setattr(torch.version, "cuda", "13.0")


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    sln = [*DIGITS, *MODELS["ce"], "--n_epochs=1", f"--run_dir={tmp_path / 'sln'}"]
    moco = [*SMALL, "--epochs=1", f"--run_dir={tmp_path / 'moco'}", str(make_tree(tmp_path / "tree"))]
    return {tmp_path / "sln": (train_cifar.main, sln), tmp_path / "moco": (pretrain.main, moco)}


def test_devices(old_driver, monkeypatch, caplog):
    assert usable_gpus("auto") == usable_gpus("cpu") == 0
    assert caplog.text.count("550.54.15 is too old for its CUDA 13.0; install 580 or newer; computing on the CPU") == 1
    with pytest.raises(UsageError, match=r"^--device=cuda: torch .* too old .*, or give --device=cpu$"):
        usable_gpus("cuda")
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    assert (usable_gpus("auto"), usable_gpus("cuda"), usable_gpus("cpu")) == (2, 2, 0)


def test_programs_compute_on_the_cpu_or_say_why(old_driver, programs, capfd):
    for folder, (main, words) in programs.items():
        assert main([*words, "--device=cuda"]) == 2
        assert "--device=cuda: torch" in capfd.readouterr().err and not folder.exists()
        assert main(words) == 0
        assert "driver 550.54.15 is too old" in capfd.readouterr().err
        assert result_of(folder)["device"].startswith("CPU")
