from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ieg.training import pictures
from ieg.training.pictures import draw_class_weights, draw_queue_purity, weights_by_class


@pytest.fixture
def axes(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was drawn, in place of files."""
    drawn: list[Any] = []
    monkeypatch.setattr(pictures, "save_figure", lambda figure, path: drawn.append(figure.axes[0]))
    return drawn


def weights(path: Path, *values: float) -> Path:
    """Three classes of 1, 3 and 2 examples; one of class 1, and all of class 2, were never drawn."""
    np.savez(path, weight=[values[0], values[1], np.nan, values[2], np.nan, np.nan], label=[0, 1, 1, 1, 2, 2])
    return path


def test_the_largest_class_is_first_and_examples_never_drawn_do_not_count(tmp_path: Path) -> None:
    assert weights_by_class(weights(tmp_path / "a.npz", 0.5, 1.0, 2.0)) == [(1, 3, 1.5), (2, 2, 0.0), (0, 1, 0.5)]


def test_bars_are_in_the_order_of_the_classes(tmp_path: Path, axes: list[Any]) -> None:
    draw_class_weights(weights(tmp_path / "a.npz", 0.5, 1.0, 2.0), "Title", tmp_path / "x.png")
    assert [round(bar.get_height(), 6) for bar in axes[0].patches] == [1.5, 0.0, 0.5]
    assert [label.get_text() for label in axes[0].get_xticklabels()] == ["1\n3", "2\n2", "0\n1"]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["uniform"]


def test_purity_is_in_percent_beside_that_of_the_training_set(tmp_path: Path, axes: list[Any]) -> None:
    draw_queue_purity([(1.0, 0.5), (2.0, 0.75)], 0.4, "Title", tmp_path / "x.png")
    line, whole = axes[0].lines
    assert list(line.get_xdata()) == [1.0, 2.0] and list(line.get_ydata()) == [50.0, 75.0]
    assert list(whole.get_ydata()) == [40.0, 40.0]
    assert [text.get_text() for text in axes[0].get_legend().get_texts()] == ["whole training set, 40.0 %"]
