import csv
import io

import pytest

from common.foreign_text import LONGEST, markdown_text, shortened, visible
from common.results.tables import csv_text, draw_table, markdown_table


def test_a_long_text_keeps_its_beginning_and_its_end():
    assert shortened("x" * LONGEST) == "x" * LONGEST
    cut = shortened("begin " + "x" * 10**6 + " end")
    assert len(cut) == LONGEST and cut.startswith("begin x") and cut.endswith("x end") and " … " in cut


def test_what_hides_or_turns_text_is_shown():
    assert visible("a\u202ebc\u200b\x1b[31m\udcff\x00") == "a\\u202ebc\\u200b\\u001b[31m\\udcff\\u0000"
    assert visible("σ ± 1\n\té 猫") == "σ ± 1\n\té 猫"


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+cmd()", "-2+3", "@SUM(A1)", "\t=1", "+ Patch, α 2"])
def test_no_text_is_a_formula_in_a_spreadsheet(text):
    (header, line) = csv.reader(io.StringIO(csv_text([text], [[text]]), newline=""))
    assert header == line == [f"'{text}"]


def test_no_text_ends_a_line_of_a_csv_file():
    text = csv_text(["a", "b"], [["x\r=1", "\n2"]])
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], ["x\\u000d=1", "\n2"]]


@pytest.mark.parametrize("value", [-1, -0.5, 1e-7, "-0.5", "+3", "-", "-1.5 2.25 -3e-05", "75.5 ± 0.2", "", "a=b", "σ"])
def test_numbers_and_other_texts_stay_as_they_are(value):
    (_, line) = csv.reader(io.StringIO(csv_text(["x", "y"], [[value, None]])))
    assert line == [str(value), ""]


def test_a_cell_of_a_markdown_table_stays_one_cell():
    text = markdown_table(["a", "b|c"], [["1\n2", "x | y\u202e"]])
    assert text.splitlines()[0].count("|") - text.splitlines()[0].count("\\|") == 3
    assert len(text.splitlines()) == 3 and "1 2" in text and "x \\| y\\u202e" in text


def test_foreign_text_is_no_markup():
    hostile = "<script>alert(1)</script> [x](javascript:1) ![y](http://z) `code` &lt; \\\n# heading"
    assert markdown_text(hostile) == (
        r"\<script>alert(1)\</script> \[x\](javascript:1) !\[y\](http://z) \`code\` \&lt; \\ # heading"
    )


def test_a_picture_of_a_table_has_a_size_that_can_be_drawn(tmp_path):
    draw_table(tmp_path / "a.png", "x" * 10**6, ["a" * 10**6], [["b\n" * 10**5], ["c\u202e"]])
    assert (tmp_path / "a.png").stat().st_size < 10**7
