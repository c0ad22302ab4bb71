"""--check is over before what only a run needs is imported."""

import sys

import ieg
from ieg.main import main


def test_check_needs_neither_the_trainer_nor_the_compiler_of_image_kernels(monkeypatch, capsys):
    for name in ("experiment", "batches"):
        monkeypatch.delattr(ieg, name, raising=False)
        monkeypatch.setitem(sys.modules, f"ieg.{name}", None)  # whoever imports it fails
    monkeypatch.setitem(sys.modules, "numba", None)
    command = ["--dataset=digits_uniform_0.8", "--image_size=8", "--network_name=wrn10-1", "--eval_freq=500"]
    assert main([*command, "--check"]) == 0
    printed = capsys.readouterr()
    assert 'data_name: "digits"' in printed.out
    assert "--eval_freq=500 means once an epoch, as in the authors' program: every 14 steps" in printed.err
