from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import sln


def test_a_small_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sln.json"
    variants = "float32;bf16, channels last;bf16, channels last, captured"
    arguments = ["--network=wrn-10-1", "--batch_size=16", "--steps=2", "--warmup=1", "--device=cpu"]
    assert sln.main([*arguments, f"--variants={variants}", f"--out={out}"]) == 0
    report = json.loads(out.read_text())
    assert [row["variant"] for row in report["steps"]] == variants.split(";")[:2]
    assert report["steps"][0]["ratio_to_float32"] == 1
    assert all(row["median_seconds"] > 0 and "original_seconds" not in row for row in report["steps"])
    assert "GPU" in report["not_run"]["bf16, channels last, captured"]
    assert report["input_images_per_second"]["one thread"] > 1000
    assert json.dumps(report["steps"][0]) in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["--steps=1", "--warmup=0", "--variants=float16"])
def test_a_wrong_flag(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        sln.main([wrong])
    assert stop.value.code == 2
    assert wrong.split("=")[0] in capsys.readouterr().err


def test_ratios_are_medians_turn_by_turn() -> None:
    seconds = {"float32": [1.0, 2.0, 4.0], "bf16": [0.5, 0.5, 3.0]}
    rows = sln.summarize(seconds, compared=True)
    assert [row["ratio_to_float32"] for row in rows] == [1.0, 0.5]
    assert rows[1]["median_seconds"] == 0.5
    assert rows[1]["share_of_original"] == round(0.5 / sln.ORIGINAL, 3)


def test_a_step_of_a_gpu_is_not_rounded_away():
    """Milliseconds: the plan of gpu-evidence multiplies them by 117,300 steps."""
    (row,) = sln.summarize({"captured": [0.001234, 0.001236, 0.001236, 0.001238]}, compared=False)
    assert row["median_seconds"] == pytest.approx(0.001236, abs=1e-6)
