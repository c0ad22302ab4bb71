"""`make bench-ieg` leaves bfloat16 out on a CPU without instructions for it, and says so."""

import pytest

from benchmarks import ieg
from common import machine


@pytest.mark.parametrize(
    ("instructions", "gpus", "precisions", "said"),
    [
        ("avx2", [], {"float32"}, "bfloat16 is left out: this processor has no instructions for bfloat16\n"),
        ("avx2", ["0"], {"float32", "bfloat16"}, ""),
        ("avx2 avx512_bf16", [], {"float32", "bfloat16"}, ""),
    ],
)
def test_precisions_that_are_measured(instructions, gpus, precisions, said, monkeypatch, capsys):
    asked = set()

    def measure(variants, *_):
        asked.update(precision for _, precision in variants)
        return {variant: [{"seconds": 1.0, "peak_memory_bytes": 1}] * 2 for variant in variants}

    monkeypatch.setattr(machine, "cpu_info", lambda field: instructions)
    monkeypatch.setattr(ieg, "gpus", lambda: gpus)
    monkeypatch.setattr(ieg, "measure", measure)
    monkeypatch.setattr(ieg, "augmentation", lambda seconds: {})
    monkeypatch.setattr(ieg, "prepare_tensorflow", lambda: None)  # it sets environment variables
    assert ieg.main(["--steps=2"]) == 0
    assert asked == precisions
    assert capsys.readouterr().err == said
