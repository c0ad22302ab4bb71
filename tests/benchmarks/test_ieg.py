import json

import pytest

from benchmarks.ieg import augmentation, main, summarize


def answers(*seconds):
    return [{"seconds": value, "peak_memory_bytes": 10} for value in seconds]


def test_ratios_are_turn_by_turn_so_that_a_slow_moment_hits_both():
    rows = summarize({("supervised", "float32"): answers(1, 1, 3), ("ieg", "float32"): answers(4, 4, 12)}, True)
    assert [row["ratio_to_supervised"] for row in rows] == [1, 4]
    assert rows[1]["median_seconds"] == 4
    assert rows[1]["speed_against_original"] == pytest.approx(3.66 / 4, abs=1e-3)
    assert "original_seconds" not in summarize({("supervised", "float32"): answers(1, 2)}, False)[0]
    assert rows[0]["ratio_to_l2r"] is None


def test_fsr_stands_beside_supervised_and_l2r():
    found = summarize(
        {
            ("supervised", "float32"): answers(1, 2),
            ("fsr", "float32"): answers(2, 3.2),
            ("l2r", "float32"): answers(4, 8),
            ("fsr-reuse", "bfloat16"): answers(1, 1),
        },
        True,
    )
    ratios = [(row["ratio_to_supervised"], row["ratio_to_l2r"]) for row in found]
    assert ratios == [(1, 0.25), (1.8, 0.45), (4, 1), (0.75, 0.188)]
    assert found[1]["speed_against_original"] == pytest.approx(0.76 / 2.6, abs=1e-3)


def test_augmentation_is_measured_by_kind():
    pytest.importorskip("numba")
    rates = augmentation(0.05, batch=10)
    assert rates.keys() == {"weak", "autoaug", "randaug"} and min(rates.values()) > 0


@pytest.mark.parametrize("wrong", [["--steps=1"], ["--warmup=0"], ["--worker=magic"]])
def test_wrong_flags(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        main(wrong)
    assert stop.value.code == 2
    assert wrong[0].split("=")[1] in capsys.readouterr().err


@pytest.mark.slow
def test_measures_every_method_in_both_precisions(tmp_path, capsys):
    out = tmp_path / "ieg.json"
    arguments = ["--network_name=wrn10-1", "--batch_size=4", "--steps=2", "--warmup=1", f"--out={out}"]
    assert main(arguments) == 0
    report = json.loads(out.read_text())
    assert len(report["steps"]) == 10
    assert all(row["median_seconds"] > 0 and row["peak_memory_bytes"] > 1e8 for row in report["steps"])
    assert "weak" in report["augmentation_images_per_second_and_core"]
    assert "wrn10-1" in report["network"]
