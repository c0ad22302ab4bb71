from pathlib import Path

import pytest

from reproduce.cli import main
from reproduce.curves import _label
from reproduce.record import RunRecord


def make_run(folder: Path, method: str, evaluations: int, noise: str = "digits") -> Path:
    record = RunRecord(
        folder,
        sub_project="ieg",
        command=["python"],
        config={"method": method, "precision": "float32", "dataset": noise},
        seed=1,
        dataset={"name": "digits", "version": "1", "fingerprint": "0" * 64},
        device="CPU",
        world_size=1,
        libraries={},
    )
    record.begin()
    for step in range(1, evaluations + 1):
        record.log(step, step / 10, {"acc/ema_eval": step / 10, "weights/clean": 1 + step, "weights/noisy": 1 / step})
    record.interrupted()
    return folder


def test_draws_runs_side_by_side(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / method, method, 3) for method in ("ieg", "supervised")]
    pictures = [tmp_path / "one.png", tmp_path / "two.png"]
    assert main(["curves", *map(str, folders), "--out", str(pictures[0])]) == 0
    assert main(["curves", str(folders[0]), "--out", str(pictures[1])]) == 0
    one, two = (picture.read_bytes() for picture in pictures)
    assert one[:8] == two[:8] == b"\x89PNG\r\n\x1a\n"
    assert one != two


def test_runs_that_differ_in_their_noise_alone_are_told_apart(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / noise, "fsr", 2, f"digits_uniform_{noise}") for noise in ("0.4", "0.8")]
    assert [_label(folder) for folder in folders] == [
        f"fsr float32 digits uniform {noise}, seed 1, unfinished" for noise in ("0.4", "0.8")
    ]


@pytest.mark.parametrize("evaluations", [0, None])
def test_a_folder_without_evaluations_is_named(
    tmp_path: Path, evaluations: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run" if evaluations is None else make_run(tmp_path / "run", "ieg", evaluations)
    assert main(["curves", str(folder), "--out", str(tmp_path / "out.png")]) == 2
    assert str(folder) in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
