from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from common.results.tables import (
    STATISTICS,
    csv_text,
    draw_table,
    float32,
    format_mean,
    markdown_table,
    mean,
    population_std,
    sample_std,
    write_table,
)

VALUES = [75.5, 75.25, 76.125, 74.0]


def test_statistics_are_what_their_names_say() -> None:
    assert mean(VALUES) == statistics.fmean(VALUES)
    assert population_std(VALUES) == pytest.approx(statistics.pstdev(VALUES), rel=1e-14)
    assert sample_std(VALUES) == pytest.approx(statistics.stdev(VALUES), rel=1e-14)
    assert population_std([1.0]) == 0
    assert sample_std([1.0]) is None
    with pytest.raises(ValueError, match="at least one data point"):
        mean([])


def test_formats() -> None:
    assert format_mean(75.46, 0.25, 2) == "75.46 ± 0.25"
    assert format_mean(75.46, None) == "75.5"
    assert format_mean(None, None) == "-"
    sample = STATISTICS["sample_std"]
    assert sample.with_values([50.0, 60.0]) == "55.0 ± 7.1 (n = 2: 50.0, 60.0)"
    assert sample.with_values([50.0]) == "50.0 (n = 1)"
    assert sample.with_values([50.0] * 6) == "50.0 ± 0.0 (n = 6)"


def test_float32_is_numpys() -> None:
    import numpy as np

    for value in (0.7544, 1 / 3, 1e-30):
        assert float32(value) == float(np.float32(value))


def test_single_precision_decides_ties_as_the_published_tables_have_them() -> None:
    population, sample = STATISTICS["population_std"], STATISTICS["sample_std"]
    fractions = [0.7544, 0.7531]  # CE under asymmetric noise: published as 75.37 ± 0.07
    assert population.text([population.percent(value) for value in fractions]) == "75.37 ± 0.07"
    assert population.text([100 * value for value in fractions]) != "75.37 ± 0.07"
    assert population.text([74.05]) == "74.05"
    assert sample.percent(0.7544) == 75.44


def test_markdown_byte_for_byte() -> None:
    assert markdown_table(["row", "a"], [["x|y", "1.0 ± 0.2"], ["long name", "-"]]) == (
        "| row       | a         |\n|-----------|-----------|\n| x\\|y      | 1.0 ± 0.2 |\n| long name | -         |\n"
    )


def test_csv_byte_for_byte() -> None:
    assert csv_text(["a", "b"], [[1 / 3, None], ["x,y", 'q"']]) == 'a,b\n0.3333333333333333,\n"x,y","q"""\n'


def test_equal_tables_are_equal_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    for name in ("a.png", "b.png"):
        draw_table(tmp_path / name, "Title", ["row", "0.8"], [["IEG", "75.5 ± 0.2\npaper 75.5"]])
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    draw_table(tmp_path / "b.png", "Title", ["row", "0.8"], [["IEG", "75.6 ± 0.2\npaper 75.5"]])
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_a_title_that_is_too_long_is_wrapped(tmp_path: Path) -> None:
    from matplotlib.image import imread

    for name, title in (("short.png", "Title"), ("long.png", "A title that is longer than its table is wide")):
        draw_table(tmp_path / name, title, ["row", "0.8"], [["IEG", "75.5"]])
    (short, width), (long, same) = (imread(tmp_path / name).shape[:2] for name in ("short.png", "long.png"))
    assert width == same
    assert long > short


def test_a_table_is_written_in_three_forms(tmp_path: Path) -> None:
    write_table(tmp_path / "new", "name", "markdown", "csv", "Title", ["row"], [["IEG"]])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["name.csv", "name.md", "name.png"]
    assert [(tmp_path / "new" / f"name.{kind}").read_text() for kind in ("md", "csv")] == ["markdown", "csv"]


def test_matplotlib_is_loaded_only_to_draw() -> None:
    import subprocess
    import sys

    program = (
        "import sys, common.results.tables, common.records.record; "
        "assert not {'numpy', 'matplotlib', 'yaml'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
