"""A run beside the authors' log, on series whose bins are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from common.errors import UsageError
from reproduce import side_by_side
from reproduce.side_by_side import HEADER, QUANTITIES, binned, draw, main, own_values, read_authors

COLUMNS = ["step", *(name for name, _ in QUANTITIES.values()), "acc/eval_on_train"]


def running(values: dict[int, float], evaluations: set[int]) -> dict[int, float]:
    """Means since the last evaluation, as a program keeps them."""
    means, seen = {}, []
    for step, value in values.items():
        seen.append(value)
        means[step] = sum(seen) / len(seen)
        if step in evaluations:
            seen = []
    return means


def test_each_steps_value_comes_back_out_of_the_running_means():
    values = {step: (step * 37 % 11) / 7 for step in range(1, 30)}
    assert own_values(running(values, {9, 10, 20}), [9, 10, 20]) == pytest.approx(values)


def test_bins_have_mean_and_spread_and_the_last_may_be_short():
    assert binned({1: 1.0, 2: 3.0, 3: 5.0, 4: 5.0, 5: 2.0}, 2, 5) == [
        (1, 2, 2.0, pytest.approx(2**0.5)), (3, 4, 5.0, 0.0), (5, 5, 2.0, None)
    ]  # fmt: skip


def authors_log(path: Path, steps: int) -> None:
    """Losses are the step; accuracies 0.5, in means that start anew after step 4, whose line is empty."""
    with open(path, "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS)
        for step in range(1, steps + 1):
            accuracy = 0 if step in (1, 4) else 0.5
            lines.writerow([step, *(accuracy if "acc/" in name else step for name in COLUMNS[1:-1]), 0.1])


def test_the_authors_lines_after_an_evaluation_count_no_step(tmp_path):
    authors_log(tmp_path / "log.csv", 8)
    log = read_authors(tmp_path / "log.csv")
    assert log["loss/meta"][4] == 4
    assert log["acc/eval_on_train"] == {0: 0.1, 3: 0.1}
    assert log["acc/meta"] == dict.fromkeys([2, 3, 5, 6, 7, 8], 0.5)


def our_run(folder: Path, steps: int, every: int = 1) -> Path:
    tf = pytest.importorskip("tensorflow", reason="a run of ieg is TensorFlow's")
    names = sorted({part for _, parts in QUANTITIES.values() for part in parts})
    with tf.summary.create_file_writer(str(folder / "tensorboard")).as_default():
        for step in range(every, steps + 1, every):
            for name in names:
                tf.summary.scalar(name, 2.0, step)
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 4, "epoch": 1.0, "acc/ema_eval": 0.2}) + "\n")
    return folder


def test_both_are_drawn_and_written_bin_by_bin(tmp_path, monkeypatch):
    drawn = []

    def watched(rows, tests, path):
        drawn.append(tests)
        draw(rows, tests, path)

    monkeypatch.setattr(side_by_side, "draw", watched)
    authors_log(tmp_path / "log.csv", 9)
    run = our_run(tmp_path / "run", 8)
    assert main([str(run), str(tmp_path / "log.csv"), "--bins=4", f"--out={tmp_path}/beside"]) == 0
    with open(tmp_path / "beside.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == HEADER
    by_name = {(row[0], row[1]): [float(value) for value in row[3:]] for row in rows[1:]}
    assert by_name["probe loss", "5"] == pytest.approx([6.5, (5 / 3) ** 0.5, 2.0, 0.0])
    assert by_name["sum of all losses", "1"][2] == pytest.approx(8.0)  # four terms of 2
    assert drawn == [({0: 0.1, 3: 0.1}, {4: 0.2})]
    assert (tmp_path / "beside.png").stat().st_size > 10_000


def test_mistakes_are_one_sentence(tmp_path, capsys):
    authors_log(tmp_path / "log.csv", 9)
    (tmp_path / "other.csv").write_text("step,loss\n1,2\n")
    run = our_run(tmp_path / "run", 8, every=2)
    for arguments, said in [
        ([str(run), str(tmp_path / "log.csv")], "train with --log_freq=1"),
        ([str(run), str(tmp_path / "other.csv")], "is not a log of the authors'"),
        ([str(run), str(tmp_path / "log.csv"), "--bins=1"], "--bins=1"),
    ]:
        assert main([*arguments, f"--out={tmp_path}/beside"]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(("steps", "said"), [(0, "it holds no step"), (4, "holds no tensorboard/")])
def test_a_log_or_a_run_without_steps_is_refused(steps: int, said: str, tmp_path: Path, capsys) -> None:
    authors_log(tmp_path / "log.csv", steps)
    assert main([str(tmp_path), str(tmp_path / "log.csv"), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("number", ["9" * 400, "1e999", "nan", "-inf"])
def test_a_number_that_is_none_is_refused(number: str, tmp_path: Path) -> None:
    authors_log(tmp_path / "log.csv", 4)
    (tmp_path / "log.csv").write_text((tmp_path / "log.csv").read_text().replace("\n2,", f"\n{number},"))
    with pytest.raises(UsageError, match="is not a log of the authors' ieg"):
        read_authors(tmp_path / "log.csv")
