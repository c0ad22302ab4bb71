"""Text files as other programs write them."""

import codecs

import pytest

from common.errors import UsageError
from common.storage.text_files import lines_of, name_in, read_lines, read_text, split_last, table_rows, whole_number


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_marks_and_line_ends(tmp_path, encoding, end):
    path = tmp_path / "list.txt"
    path.write_bytes(end.join(["a ü.jpg 1", "", "语 2", ""]).encode(encoding))
    assert read_lines(path) == ["a ü.jpg 1", "", "语 2"]


def test_big_endian_utf16(tmp_path):
    (tmp_path / "a").write_bytes(codecs.BOM_UTF16_BE + "x é".encode("utf-16-be"))
    assert read_text(tmp_path / "a") == "x é"


def test_only_the_ends_of_lines_part_lines():
    assert lines_of("a\u2028b\x0bc\n d\r\n") == ["a\u2028b\x0bc", " d\r"]
    assert lines_of("") == [] and lines_of("\n") == [""] and lines_of("a") == ["a"]


def test_other_encodings_are_named_with_file_and_line(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes("a 1\nimages/衣服.jpg 2\n".encode("gbk"))
    with pytest.raises(UsageError, match=r"list\.txt, line 2: the bytes d2 c2 b7 fe are not of UTF-8 .*iconv -f GBK"):
        read_text(path)
    path.write_bytes(codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le") + b"\x00\xd8")
    with pytest.raises(UsageError, match=r"line 2: .* UTF-16 text"):
        read_text(path)


@pytest.mark.parametrize(
    "text, number",
    [("7", 7), (" 7 ", 7), ("007", 7), ("7.0", 7), ("7.00", 7), ("7,0", 7), ("٣", 3), ("７", 7)]
    + [(text, None) for text in ("", "-1", "²", "7.5", "1,000", "1.000", "1e3", "7a", "Ⅶ", "9" * 5000, "7 8", "0x1")],
)
def test_whole_numbers(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize(
    "line, parts",
    [
        ("images/0/a b.jpg 13", ("images/0/a b.jpg", "13")),
        ("images/0,0.jpg\t13", ("images/0,0.jpg", "13")),
        ('"images/0 0.jpg";"13";;', ("images/0 0.jpg", "13")),
        ("images/0.jpg,13.0,,", ("images/0.jpg", "13.0")),
        ("images/0.jpg", ("", "")),
        ("13", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_path_and_a_label(line, parts):
    assert split_last(line) == parts


TABLE = "label,label_noisy\n3,4\n5,6\n"


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace("\n", ",\n"),
        TABLE + ",\n\n,,,\n",
        '"label","label_noisy"\n"3","4"\n"5","6"',
        "sep=;\n" + TABLE.replace(",", ";"),
        ",label,label_noisy\n0,3,4\n1,5,6\n",
        "label_noisy , label\n4, 3\n6, 5\n",
    ],
)
def test_tables_as_spreadsheets_and_data_frames_write_them(text):
    rows = list(table_rows(text, ["label", "label_noisy"], "x.csv"))
    assert [row for _, row in rows] == [["3", "4"], ["5", "6"]]
    assert rows[0][0] == (3 if text.startswith("sep") else 2)


@pytest.mark.parametrize(
    "text, message",
    [
        ("", r"x\.csv begins with '': a table of these has label,label_noisy"),
        ("label\n3\n", "begins with 'label'"),
        ("label,label_noisy,seed\n3,4,5\n", "begins with 'label,label_noisy,seed'"),
        (TABLE + "3\n", r"x\.csv, line 4: '3' must be 2 fields"),
        (TABLE + "3,4,5\n", r"x\.csv, line 4: '3,4,5' must be 2 fields"),
        (TABLE + f'3,"{"x" * 200_000}"\n', r"x\.csv, line 4: '3,\"xxx.*' must be 2 fields"),
    ],
)
def test_tables_that_are_none(text, message):
    with pytest.raises(UsageError, match=message):
        list(table_rows(text, ["label", "label_noisy"], "x.csv"))


def test_the_name_of_a_folder_of_data(tmp_path):
    assert name_in(tmp_path) == "" == name_in(tmp_path / "nowhere")
    (tmp_path / "NAME").write_bytes(codecs.BOM_UTF8 + b"cifar10-jpeg\r\n")
    assert name_in(tmp_path) == "cifar10-jpeg"
    (tmp_path / "NAME").write_bytes("数据".encode("gbk"))
    with pytest.raises(UsageError, match="NAME, line 1"):
        name_in(tmp_path)
