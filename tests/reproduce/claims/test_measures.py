"""Which number of a run each word of a measure means. The run has two stages, the second without a loss."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import RecordError
from reproduce.claims import measures, records
from reproduce.claims.measures import curve, numbers_of, seconds, value


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    folders = [("first", tmp_path / "first"), ("second", tmp_path / "second")]
    logged = [[{"loss": 9.0, "acc": 0.1}, {"loss": 4.0, "acc": 0.2}], [{"acc": 0.3}, {"acc": 0.6}, {"acc": 0.5}]]
    for (_, folder), lines in zip(folders, logged, strict=True):
        folder.mkdir()
        lines = [{"step": step, "epoch": step / 2, **line} for step, line in enumerate(lines, 1)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.setattr(measures, "records_of", lambda run: folders)
    monkeypatch.setattr(
        measures, "read_result", lambda folder: {"wall_seconds": {"first": 3.0, "second": 4.0}[folder.name]}
    )
    result = {
        "metrics": {"accuracy": 0.55}, "best_on_test": {"accuracy": {"value": 0.6}}, "notes": {"noise_rate": 0.25},
        "wall_seconds": 4.0,
    }  # fmt: skip
    return SimpleNamespace(result=result, name="a run", record_folder=folders[1][1])


def test_each_word_is_a_number_of_its_own(run: Any) -> None:
    expected = {
        "last accuracy": 0.55, "best accuracy": 0.6, "note noise_rate": 0.25, "seconds": 4.0,
        "first acc": 0.3, "last acc": 0.5,  # of the last stage that has it
        "first loss": 9.0, "last loss": 4.0,
    }  # fmt: skip
    assert numbers_of(run, list(expected)) == expected
    assert value("best accuracy - last accuracy + 0.5", expected) == pytest.approx(0.55)
    assert seconds(run) == 7.0  # of all stages
    assert curve(run, "acc", "epoch") == [(0.5, 0.3), (1.0, 0.6), (1.5, 0.5)]


def test_a_number_that_a_run_lacks_is_named(run: Any) -> None:
    for term in ("last purity", "note purity", "best purity"):
        with pytest.raises(RecordError, match=f"no number for '{term}'"):
            numbers_of(run, [term])


def test_a_long_curve_keeps_its_ends(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "_lines", lambda run, name: [{"step": step, "acc": -step} for step in range(100)])
    points = curve(run, "acc", "step")
    assert len(points) == 40 and points[0] == (0, 0) and points[-1] == (99, -99)


def test_a_kept_curve_is_of_the_places_that_all_seeds_have(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Any] = [[(1, 0.1), (2, 0.3)], [(1, 0.3), (3, 9.0)]]
    monkeypatch.setattr(records, "curve", lambda run, metric, against: run)
    assert records._mean_curve(runs, "acc", "step") == {"x": [1], "mean": [0.2], "std": [0.141]}
