"""Where a CPU has no instructions for bfloat16 --amp=bf16 warns, and `make bench-moco` leaves it out."""

import json

import pytest

from benchmarks import moco
from common import machine
from moco_nonsem import main_lincls
from moco_nonsem.pretraining import program as pretrain_program
from tests.moco_nonsem.small_runs import LINEAR, PATCH

REASON = "this processor has no instructions for bfloat16"
WARNING = f"WARNING: --amp=bf16: {REASON}"
IN_BFLOAT16 = [name for name in moco.STEPS if "bf16" in name]


@pytest.mark.parametrize(
    ("instructions", "amp", "warns"),
    [("avx2", "bf16", True), ("avx2 avx512_bf16", "bf16", False), ("avx2", "off", False)],
)
def test_bf16_on_a_processor(instructions, amp, warns, tree, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(machine, "cpu_info", lambda field: instructions)
    common = [f"--amp={amp}", f"--run_dir={tmp_path / 'run'}", "--device=cpu", "--check", str(tree)]
    assert pretrain_program.main([*PATCH, *common]) == 0
    assert capfd.readouterr().err.count(WARNING) == warns
    assert main_lincls.main([*LINEAR, f"--pretrained={tmp_path / 'missing'}", *common]) == 2  # said before that
    assert capfd.readouterr().err.count(WARNING) == warns


@pytest.mark.parametrize(
    ("instructions", "named", "left_out"),
    [("avx2", [], IN_BFLOAT16), ("avx2 avx512_bf16", [], []), ("avx2", IN_BFLOAT16[:1], [])],
)
def test_variants_that_are_measured(instructions, named, left_out, monkeypatch, tmp_path, capsys):
    asked = []

    def steps(paths, options, device):
        asked.extend(options.variants)
        return [], {}

    monkeypatch.setattr(machine, "cpu_info", lambda field: instructions)
    monkeypatch.setattr(moco, "steps", steps)
    variants = [f"--variants={';'.join(named)}"] if named else []
    assert moco.main(["--device=cpu", f"--out={tmp_path / 'out.json'}", *variants, "--cores"]) == 0
    assert asked == [name for name in named or moco.STEPS if name not in left_out]
    assert json.loads((tmp_path / "out.json").read_text())["not_run"] == dict.fromkeys(left_out, REASON)
    assert capsys.readouterr().err == (f"bfloat16 is left out: {REASON}\n" if left_out else "")
