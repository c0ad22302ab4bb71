import json

import pytest

from benchmarks import settings


def answer(seconds, faults=0):
    return {"seconds": seconds, "kernel_seconds": 0.0, "page_faults": faults, "peak_memory_bytes": 10}


def test_ratios_are_turn_by_turn():
    rows = settings.summarize({"a": [answer(1), answer(1), answer(3)], "b": [answer(2), answer(2), answer(6, 3)]})
    assert [row["ratio_to_first"] for row in rows] == [1, 2]
    assert rows[1]["page_faults"] == 0


@pytest.mark.parametrize(
    ("wrong", "named"),
    [(["sln", "--steps=1"], "--steps=1"), (["ieg", "--settings=magic"], "'magic' is none of oneDNN"), (["x"], "'x'")],
)
def test_wrong_flags(wrong, named, capsys):
    with pytest.raises(SystemExit) as stop:
        settings.main(wrong)
    assert stop.value.code == 2
    assert named in capsys.readouterr().err


@pytest.mark.slow
def test_measures_steps_of_tensorflow_under_two_settings(tmp_path):
    pytest.importorskip("tensorflow")
    out = tmp_path / "settings.json"
    arguments = [
        "supervised",
        "--batch_size=4",
        "--steps=2",
        "--warmup=1",
        "--settings=no oneDNN;oneDNN",
        f"--out={out}",
    ]
    assert settings.main(arguments) == 0
    report = json.loads(out.read_text())
    assert [row["setting"] for row in report["steps"]] == ["no oneDNN", "oneDNN"]
    assert all(row["median_seconds"] > 0 for row in report["steps"])
    assert report["machine"]["processor"]
