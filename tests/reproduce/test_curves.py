from pathlib import Path
from typing import Any

import pytest

from common.records.record import RunRecord
from reproduce.cli import main
from reproduce.curves import labels, panels


def make_run(folder: Path, method: str, evaluations: int, noise: str = "digits", **settings: Any) -> Path:
    record = RunRecord(
        folder,
        sub_project="ieg",
        command=["python"],
        config={"method": method, "precision": "float32", "dataset": noise, **settings},
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
    assert labels(folders) == [f"fsr float32 digits uniform {noise}, seed 1, unfinished" for noise in ("0.4", "0.8")]


def test_runs_of_one_method_are_told_apart_by_the_settings_in_which_they_differ(tmp_path: Path) -> None:
    settings: list[dict[str, Any]] = [{"sigma": 1.0, "noise_mode": "sym"}, {"sigma": 0.2, "noise_mode": "asym"}]
    folders = [make_run(tmp_path / str(one["sigma"]), "sln", 2, lr=0.1, **one) for one in settings]
    folders.append(make_run(tmp_path / "ce", "ce", 2, lr=0.3))
    assert labels(folders) == [
        "sln float32 digits noise_mode sym sigma 1.0, seed 1, unfinished",
        "sln float32 digits noise_mode asym sigma 0.2, seed 1, unfinished",
        "ce float32 digits, seed 1, unfinished",
    ]
    again = make_run(tmp_path / "again", "ce", 2, lr=0.3)
    assert labels([folders[2], again]) == [
        f"ce float32 digits, seed 1, unfinished ({folder})" for folder in (folders[2], again)
    ]


def test_a_metric_that_has_no_panel_gets_one_of_its_own() -> None:
    pretraining = {"step", "epoch", "loss/train", "similarity/key", "similarity/queue", "accuracy/neighbours"}
    assert [names for names in panels(pretraining).values()] == [
        ("loss/train",),
        ("similarity/key", "similarity/queue", "similarity/nonsem"),
        ("accuracy/neighbours",),
    ]


def test_every_run_and_every_metric_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs of the same settings, and a metric that no list names."""
    folders = [make_run(tmp_path / name, "sln", 2) for name in ("a", "b")]
    for folder in folders:
        path = folder / "metrics.jsonl"
        path.write_text(path.read_text().replace("acc/ema_eval", "accuracy/neighbours"))
    figures = []
    monkeypatch.setattr("reproduce.curves.save_figure", lambda figure, _path: figures.append(figure))
    assert main(["curves", *map(str, folders), "--out", str(tmp_path / "out.png")]) == 0
    drawn = {axes.get_title(): len(axes.get_lines()) for axes in figures[0].axes}
    assert drawn == {"mean weight of clean, of noisy examples (1 = uniform)": 4, "accuracy/neighbours": 2}
    assert len(figures[0].axes[1].get_legend().get_texts()) == 2


def test_purity_stands_beside_the_share_of_true_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run(tmp_path / "run", "fsr", 2)
    metrics, result = folder / "metrics.jsonl", folder / "result.json"
    metrics.write_text(metrics.read_text().replace("acc/ema_eval", "queue/purity"))
    result.write_text(result.read_text().replace('"notes": {}', '"notes": {"noise_rate": 0.3}'))
    figures: list[Any] = []
    monkeypatch.setattr("reproduce.curves.save_figure", lambda figure, _path: figures.append(figure))
    assert main(["curves", str(folder), "--out", str(tmp_path / "out.png")]) == 0
    purity, whole = figures[0].axes[1].get_lines()
    assert list(purity.get_ydata()) == [0.1, 0.2] and set(whole.get_ydata()) == {0.7}


@pytest.mark.parametrize("evaluations", [0, None])
def test_a_folder_without_evaluations_is_named(
    tmp_path: Path, evaluations: int | None, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run" if evaluations is None else make_run(tmp_path / "run", "ieg", evaluations)
    assert main(["curves", str(folder), "--out", str(tmp_path / "out.png")]) == 2
    assert str(folder) in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
