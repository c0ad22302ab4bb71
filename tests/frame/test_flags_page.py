"""docs/flags.md: every flag that it names is one of its program, with the default that the page gives."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

import ieg.settings.flags
import re_sln.settings.flags
from common.flags import make_parser
from moco_nonsem.running.flags import LinearFlags, PretrainFlags

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "flags.md").read_text(encoding="utf-8")
CLOTHING = re_sln.settings.flags.PROGRAMS["train_clothing1m"].defaults
KINDS = {
    "`ieg.main`": ieg.settings.flags.Flags,
    "`re_sln.train_*`": re_sln.settings.flags.Flags,
    "`moco-non-sem-neg.py`": PretrainFlags,
    "`main_lincls.py`": LinearFlags,
}
SYNONYMS = {
    "--lr", "--epochs", "--data_dir", "--run_dir", "--precision", "--evaluate", "--network", "--arch", "--seed",
    "--batch_size", "--global_batch_size",
}  # fmt: skip


def table(after: str) -> list[list[str]]:
    """The cells of the table below a heading, with its head."""
    lines = [line for line in PAGE.partition(after)[2].partition("\n## ")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")] for line in lines]
    return [rows[0], *rows[2:]]


HEAD, *ROWS = table("# One setting, three programs")
CELLS = [(program, row[0], cell) for row in ROWS for program, cell in zip(HEAD[1:], row[1:], strict=True)]


def parser_of(program: str) -> argparse.ArgumentParser:
    separator = "-" if program.endswith(".py`") else "_"
    return make_parser(KINDS[program], "p", "", separator=separator, words=["--data-dir"])


def flags_in(cell: str) -> list[str]:
    return re.findall(r"`(--?\w[\w-]*)", cell)


def action_of(program: str, name: str) -> argparse.Action:
    """Raises: KeyError where the program has no such flag."""
    actions = {option.replace("-", "_"): a for a in parser_of(program)._actions for option in a.option_strings}
    return actions[name.replace("-", "_")]


@pytest.mark.parametrize(("program", "meaning", "cell"), CELLS)
def test_a_flag_of_the_page_is_one_of_the_program_with_that_default(program: str, meaning: str, cell: str) -> None:
    for name in flags_in(cell):
        action_of(program, name)
    assert "`DATA`" not in cell or KINDS[program] in (PretrainFlags, LinearFlags)
    for name, default, _, other in re.findall(r"`(--[\w-]+)(?:=\w+)?` \[([^];]+)(; Clothing1M ([^]]+))?\]", cell):
        action = action_of(program, name)
        assert str(action.default) == default
        assert not other or str(CLOTHING[action.dest]) == other


@pytest.mark.parametrize("program", KINDS)
def test_the_page_names_the_synonyms_that_the_program_has(program: str) -> None:
    named = {name.replace("-", "_") for _, _, cell in [c for c in CELLS if c[0] == program] for name in flags_in(cell)}
    options = {option for action in parser_of(program)._actions for option in action.option_strings}
    missing = {name for name in SYNONYMS if name.replace("-", "_") not in {o.replace("-", "_") for o in options}}
    assert {name.replace("-", "_") for name in SYNONYMS - missing} <= named
    assert missing == ({"--evaluate"} if KINDS[program] is PretrainFlags else set())


def test_the_page_gives_defaults() -> None:
    assert list(KINDS) == HEAD[1:] and len(re.findall(r"\[", " ".join(cell for _, _, cell in CELLS))) > 50


def test_the_page_says_which_flags_are_identity() -> None:
    head, *rows = table("## Which flags make another run")
    assert head[1:] == ["ieg", "re_sln", "moco_nonsem"]
    for names, *cells in rows:
        for kind, cell in zip((KINDS["`ieg.main`"], KINDS["`re_sln.train_*`"], PretrainFlags), cells, strict=True):
            fields = kind.__dataclass_fields__  # type: ignore[attr-defined]
            said = {fields[n[2:]].metadata["identity"] for n in flags_in(names) if n[2:] in fields}
            assert said == ({cell == "yes"} if cell else set()), (names, kind)


def test_the_records_have_the_names_of_the_page() -> None:
    head, *rows = table("## What the records call it")
    for project, cells in zip(head[1:], list(zip(*rows, strict=True))[1:], strict=True):
        code = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parents[2] / project).rglob("*.py"))
        for name in re.findall(r"`([\w/]+)`", " ".join(cells)):
            assert name in code, (project, name)
