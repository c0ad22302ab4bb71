"""Why no GPU can be used, told apart with a stand-in for nvidia-smi and for a Python with a framework."""

import json
import os

import pytest

from common.errors import UsageError
from common.pytorch.gpu import driver_version, require_driver, require_framework

ONE = "GPU 0: NVIDIA H100 (UUID: GPU-0)"
TORCH = {"version": "2.11.0+cu130", "cuda": "13.0", "count": 1, "error": ""}


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """smi: what nvidia-smi prints, None where there is none; driver: its version; the environment to ask in."""

    def make(smi=ONE, code=0, driver="580.95.05", **variables):
        if smi is not None:
            path = tmp_path / "nvidia-smi"
            path.write_text(f'#!/bin/sh\ncase "$1" in -L) echo "{smi}"; exit {code};; *) echo "{driver}";; esac\n')
            path.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:/bin:/usr/bin" if smi is not None else str(tmp_path)} | variables
        monkeypatch.setenv("PATH", environment["PATH"])
        return environment

    return make


@pytest.fixture
def python(tmp_path):
    """A Python whose framework answers so."""

    def make(answer):
        path = tmp_path / "python"
        said = answer if isinstance(answer, str) else f"printf '%s\\n' '{json.dumps(answer)}'"
        path.write_text(f"#!/bin/sh\n{said}\n")
        path.chmod(0o755)
        return str(path)

    return make


def test_a_gpu_that_works(machine, python):
    environment = machine()
    assert require_driver(environment) == [ONE]
    assert require_framework("torch", python(TORCH), environment) == TORCH


@pytest.mark.parametrize("hidden", ["", "-1", " , "])
def test_hidden_gpus(machine, hidden):
    with pytest.raises(UsageError, match=r"CUDA_VISIBLE_DEVICES='.*' hides every GPU: unset it"):
        require_driver(machine(CUDA_VISIBLE_DEVICES=hidden))


def test_a_chosen_gpu_is_not_hidden(machine):
    assert require_driver(machine(CUDA_VISIBLE_DEVICES="0")) == [ONE]


def test_no_driver(machine):
    with pytest.raises(UsageError, match=r"no NVIDIA GPU here.*nvidia-smi is not found"):
        require_driver(machine(None))


def test_a_driver_without_its_tools(machine, tmp_path, monkeypatch):
    environment, kernel = machine(None), tmp_path / "version"
    kernel.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n")
    monkeypatch.setattr("common.pytorch.gpu.DRIVER", kernel)
    assert require_driver(environment) == ["GPU 0: unknown to a container without nvidia-smi"]
    assert driver_version() == "535.183.01"


@pytest.mark.parametrize(
    "smi, code, said", [("couldn't communicate with the NVIDIA driver", 9, "communicate"), ("", 0, "it lists none")]
)
def test_a_driver_that_does_not_work(machine, smi, code, said):
    with pytest.raises(UsageError, match=f"nvidia-smi finds no GPU .*{said}"):
        require_driver(machine(smi, code))


@pytest.mark.parametrize(
    "changes, driver, said",
    [
        ({"cuda": None, "count": 0}, "580.1", "was built without CUDA"),
        ({"count": 0, "error": "too old"}, "535.54.03", "driver 535.54.03 is too old for its CUDA 13.0; install 580"),
        ({"count": 0}, "580.1", "it finds none, and says no more"),
        ({"count": 0}, "NVIDIA-SMI has failed because of 2 things", "it finds none, and says no more"),
        ({"error": "CUDA error: no kernel image is available"}, "580.1", "it has no kernels for this GPU"),
        ({"error": "out of\nmemory"}, "580.1", "cannot use it: out of memory"),
    ],
)
def test_a_framework_that_does_not_use_it(machine, python, changes, driver, said):
    environment = machine(driver=driver)
    with pytest.raises(UsageError) as error:
        require_framework("torch", python(TORCH | changes), environment)
    assert said in str(error.value) and "nvidia-smi shows a GPU" in str(error.value)


def test_a_framework_that_cannot_be_loaded(machine, python):
    with pytest.raises(UsageError, match=r"cannot load torch \(ImportError: no torch\)"):
        require_framework("torch", python("echo 'ImportError: no torch' >&2; exit 1"), machine())


@pytest.mark.parametrize("name", ["torch", "tensorflow"])
def test_the_probe_is_understood_by_the_framework_itself(name):
    pytest.importorskip(name)
    with pytest.raises(UsageError, match=f"{name} .*(without CUDA|cannot use it)"):
        require_framework(name, environment=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
