"""Where a CPU has no instructions for bfloat16 --amp=bf16 warns, and `make bench-sln` leaves it out."""

import json

import pytest

from benchmarks import sln
from common import machine
from common.errors import UsageError
from re_sln import train_cifar, tune
from re_sln.training import experiment
from tests.re_sln.small_runs import DIGITS

REASON = "this processor has no instructions for bfloat16"
WARNING = f"WARNING: --amp=bf16: {REASON}"
IN_BFLOAT16 = [name for name in sln.VARIANTS if "bf16" in name]


@pytest.mark.parametrize(
    ("instructions", "amp", "warns"),
    [("avx2", "bf16", True), ("avx2 avx512_bf16", "bf16", False), ("avx2", "off", False)],
)
def test_bf16_on_a_processor(instructions, amp, warns, monkeypatch, capfd):
    monkeypatch.setattr(machine, "cpu_info", lambda field: instructions)
    assert train_cifar.main([*DIGITS, "--device=cpu", f"--amp={amp}", "--check"]) == 0
    assert capfd.readouterr().err.count(WARNING) == warns


def test_a_search_says_it_once_before_it_reads_data(monkeypatch, tmp_path, capfd):
    def stop(*_, **__):
        raise UsageError("stopped by the test")

    monkeypatch.setattr(machine, "cpu_info", lambda field: "avx2")
    monkeypatch.setattr(experiment, "load_data", stop)
    flags = [*DIGITS, "--noise_mode=sym", "--p=0.4", "--val_size=0.2", "--sigmas=0.1,0.2", "--device=cpu", "--amp=bf16"]
    assert tune.main([*flags, f"--run_dir={tmp_path}"]) == 2
    error = capfd.readouterr().err
    assert error.count(WARNING) == 1 and "stopped by the test" in error


@pytest.mark.parametrize(
    ("instructions", "named", "left_out"),
    [("avx2", [], IN_BFLOAT16), ("avx2 avx512_bf16", [], []), ("avx2", IN_BFLOAT16[:1], [])],
)
def test_variants_that_are_measured(instructions, named, left_out, monkeypatch, tmp_path, capsys):
    asked = []

    def measure(names, _):
        asked.extend(names)
        return {name: [1.0, 1.0] for name in names}, {}

    monkeypatch.setattr(machine, "cpu_info", lambda field: instructions)
    monkeypatch.setattr(sln, "measure", measure)
    monkeypatch.setattr(sln, "input_path", lambda device, threads: 1.0)
    variants = [f"--variants={';'.join(named)}"] if named else []
    assert sln.main(["--device=cpu", "--steps=2", f"--out={tmp_path / 'out.json'}", *variants]) == 0
    assert asked == [name for name in named or sln.VARIANTS if name not in left_out]
    assert json.loads((tmp_path / "out.json").read_text())["not_run"] == dict.fromkeys(left_out, REASON)
    assert capsys.readouterr().err == (f"bfloat16 is left out: {REASON}\n" if left_out else "")
