import importlib.util
import json

import pytest

from benchmarks.moco import main, summarize_input


def test_ratios_are_turn_by_turn():
    found = {"reference": [(0.02, 0.01), (0.04, 0.01)], "device": [(0.01, 0.005), (0.02, 0.002)]}
    base, ours = summarize_input(found, 2)
    assert base["ratio_to_reference"] == base["ratio_to_reference_in_core_time"] == 1
    assert ours["ratio_to_reference"] == 2 and ours["ratio_to_reference_in_core_time"] == pytest.approx(3.5)
    assert ours["images_per_second"] == pytest.approx(1 / 0.015, abs=0.1)
    assert ours["core_milliseconds_per_image"] == 3.5 and ours["cores"] == 2


@pytest.mark.parametrize(
    "wrong", ["--turns=0", "--warmup=0", "--variants=magic", "--cores=1000", "--batch_size=1", "--images=/no/such"]
)
def test_wrong_flags(wrong, capsys):
    with pytest.raises(SystemExit) as stop:
        main([wrong])
    assert stop.value.code == 2
    assert wrong.split("=")[1] in capsys.readouterr().err


@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is in the other environment")
def test_a_folder_without_photographs(tmp_path, capsys):
    assert main([f"--images={tmp_path}", "--device=cpu"]) == 2
    assert f"{tmp_path} holds no .JPEG or .jpg file" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="torchvision is in the other environment")
def test_measures_both_loaders_and_the_step(tmp_path):
    out = tmp_path / "moco.json"
    arguments = ["--size=32", "--batch_size=8", "--cores", "1", "--turns=1", "--batches=2", "--arch=resnet10-small"]
    more = ["--workers=1", "--steps=2", "--warmup=1", "--variants=reference loader, float32;float32", f"--out={out}"]
    assert main([*arguments, *more, "--device=cpu"]) == 0
    report = json.loads(out.read_text())
    assert [row["loader"] for row in report["input"]] == ["reference", "device"]
    assert all(row["images_per_second"] > 0 for row in report["input"])
    assert len(report["steps"]) == 2 and not report["not_run"]
    assert all(0 < row["share_waiting_for_data"] < 1 for row in report["steps"])
    assert report["images"] == "256 made pictures"
