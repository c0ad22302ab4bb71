"""--precision=bfloat16 warns where the processor has no instructions for it."""

import pytest

from common import machine
from ieg.devices import distribution
from ieg.main import main

CHECKED = ["--dataset=digits_uniform_0.8", "--image_size=8", "--network_name=wrn10-1", "--check"]


@pytest.mark.parametrize(
    ("instructions", "gpus", "precision", "warns"),
    [
        ("avx2", [], "bfloat16", True),
        ("avx2 avx512_bf16", [], "bfloat16", False),
        ("avx2", [], "float32", False),
        ("avx2", ["GPU:0"], "bfloat16", False),
    ],
)
def test_bfloat16_on_a_processor(instructions, gpus, precision, warns, monkeypatch, capfd):
    monkeypatch.setattr(machine, "cpu_info", lambda field: instructions)
    monkeypatch.setattr(distribution, "make_strategy", lambda flags: distribution.tf.distribute.get_strategy())
    monkeypatch.setattr(distribution.tf.config, "list_physical_devices", lambda kind: gpus)
    assert main([*CHECKED, f"--precision={precision}"]) == 0
    error = capfd.readouterr().err
    lines = [line for line in error.splitlines() if "bfloat16" in line]
    assert len(lines) == warns
    assert not warns or lines[0].startswith("WARNING: --precision=bfloat16: this processor has no instructions")
