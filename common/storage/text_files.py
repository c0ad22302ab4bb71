"""Lists and tables that people and other programs wrote: byte order marks, line ends, separators, quotes, digits.

What can only be meant one way is read; for the rest the file, the line, the rule and the way out are named.
"""

from __future__ import annotations

import codecs
import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from common.errors import UsageError

# A mark of UTF-32 begins with that of UTF-16, so it is looked for first.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SEPARATORS = ",;\t"
LONGEST_NUMBER = 20


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file in UTF-8, or in what its byte order mark says. Raises: OSError; what `text_of` raises."""
    return text_of(Path(path).read_bytes(), str(path))


def text_of(content: bytes, name: str) -> str:
    """The text of a file's content; `name` is what the error calls it. Raises: UsageError naming the line."""
    encoding = next((encoding for mark, encoding in MARKS if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(_split(content[: error.start].decode(encoding, "replace")))
        raise UsageError(
            f"{name}, line {line}: the bytes {content[error.start : error.start + 4].hex(' ')} are not of "
            f"{encoding.removesuffix('-sig').upper()} text; save the file as UTF-8 (`iconv -f GBK -t UTF-8` for one in "
            "GBK), or get it again"
        ) from error


def read_lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a file, whose ends may be LF, CRLF or CR. Raises: what `read_text` raises."""
    return lines_of(read_text(path))


def lines_of(text: str) -> list[str]:
    """The lines of a text, whose ends may be LF, CRLF or CR; the last one need not have any."""
    lines = _split(text)
    return lines if lines[-1] else lines[:-1]


def _split(text: str) -> list[str]:
    # Not all of what splitlines knows: a name may hold U+2028, and in a text of LF a name may end in CR.
    ends = "\n" if "\n" in text else "\r"
    if ends == "\n" and text.count("\r\n") == text.count("\n"):
        ends = "\r\n"
    return text.split(ends)


def table_rows(text: str, columns: Sequence[str], name: str) -> Iterator[tuple[int, list[str]]]:
    """(line, the fields of these columns) of each row of a table; `name` is what errors call it.

    Comma, semicolon or tab between fields, as the header has it; quotes; columns without a name, which spreadsheets
    and data frames add, and rows without any content are passed over. Raises: UsageError naming the line.
    """
    lines = _without_separator_line(lines_of(text))
    first = lines[0][1] if lines else ""
    separator = max(SEPARATORS, key=first.count)
    names = _fields(first, separator)
    if sorted(filter(None, names)) != sorted(columns):
        raise UsageError(
            f"{name} begins with {first[:80]!r}: a table of these has {','.join(columns)} there; "
            "save it so, in UTF-8, or get it again"
        )
    places = [names.index(column) for column in columns]
    for number, line in lines[1:]:
        fields = _fields(line, separator)
        if not any(fields):
            continue
        if any(fields[len(names) :]) or len(fields) <= max(places):
            raise UsageError(
                f"{name}, line {number}: {line[:80]!r} must be {len(columns)} fields ({','.join(columns)}) with "
                f"{separator!r} between; correct it, or get the file again"
            )
        yield number, [fields[place] for place in places]


def _fields(line: str, separator: str) -> list[str]:
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]
    except csv.Error:  # a field of more than 131,072 characters
        return [line]


def _without_separator_line(lines: list[str]) -> list[tuple[int, str]]:
    """Lines with their numbers; a first line `sep=;`, which is for Excel, is no line of the table."""
    numbered = list(enumerate(lines, 1))
    return numbered[1:] if lines and re.fullmatch('"?sep=.?"?', lines[0].strip()) else numbered


def whole_number(text: str) -> int | None:
    """The number that a field holds, None where it is none: `7`, `7.0` as spreadsheets write it, digits of any script.

    `²` is no digit, and `1,000` may mean one or a thousand.
    """
    digits = re.sub(r"[.,]00?$", "", text.strip())
    return int(digits) if digits.isdecimal() and len(digits) < LONGEST_NUMBER else None


def split_last(line: str) -> tuple[str, str]:
    """A path and the field after it, parted by white space, comma or semicolon, perhaps quoted; "" and "" without both.

    The path itself may hold all of these.
    """
    found = re.fullmatch(r'\s*("?)(?P<path>.*\S)\1\s*[\s,;]\s*"?(?P<field>[^\s,;"]+)"?[\s,;]*', line)
    return (found["path"].strip(), found["field"]) if found else ("", "")


def name_in(folder: Path) -> str:
    """What the file NAME in a folder of data calls it, "" where there is none. Raises: UsageError."""
    path = folder / "NAME"
    try:
        return read_text(path).strip()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return ""
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check its rights") from error
