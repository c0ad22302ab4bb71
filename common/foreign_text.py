"""Text that others wrote, on its way to a screen, a table or a page. Standard library only."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 2000  # characters of a message, or of one line of a page
LONGEST_REASON = 200
NUMBERS = re.compile(r"-|[+-]?\d[\d.]*(e[+-]?\d+)?( [+-]?\d[\d.]*(e[+-]?\d+)?)*")


def shortened(text: str) -> str:
    """Of a text with more than LONGEST characters, which holds a long value, the beginning and the end."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 2 + 3 :]}"


def one_line(error: BaseException) -> str:
    """What a library says of an error, on one line of bounded length."""
    said = visible(" ".join(str(error).split())) or type(error).__name__
    return said if len(said) <= LONGEST_REASON else f"{said[:LONGEST_REASON]} …"


def visible(text: str) -> str:
    r"""The text with its control characters, and those that turn or hide what stands beside them, as `\u202e`.

    Line breaks and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(
        sign if sign in "\n\t" or unicodedata.category(sign) not in ("Cc", "Cf", "Cs") else f"\\u{ord(sign):04x}"
        for sign in text
    )


def markdown_text(text: str) -> str:
    """The text as Markdown shows it in one line: no link, no HTML, no code."""
    return re.sub(r"[\\`<\[\]&]", r"\\\g<0>", " ".join(visible(text).split()))


def csv_field(value: object) -> object:
    """The value as a field of a CSV file: None is empty, and what a spreadsheet calls a formula gets a leading '."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = visible(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) and not NUMBERS.fullmatch(text) else text
