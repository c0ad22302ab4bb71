"""--check is over before what only a run needs is imported."""

import sys

import ieg
from ieg.main import main


def test_check_needs_neither_the_trainer_nor_the_compiler_of_image_kernels(monkeypatch, capsys):
    for name in ("experiment", "batches"):
        monkeypatch.delattr(ieg, name, raising=False)
        monkeypatch.setitem(sys.modules, f"ieg.{name}", None)  # whoever imports it fails
    monkeypatch.setitem(sys.modules, "numba", None)
    assert main(["--dataset=digits_uniform_0.8", "--image_size=8", "--network_name=wrn10-1", "--check"]) == 0
    assert 'data_name: "digits"' in capsys.readouterr().out
